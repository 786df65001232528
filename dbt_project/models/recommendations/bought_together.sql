{{ items_in_same_baskets('bought') }}
