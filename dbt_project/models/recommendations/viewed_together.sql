{{ items_together('viewed') }}
