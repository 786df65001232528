{{ items_together('bought') }}
