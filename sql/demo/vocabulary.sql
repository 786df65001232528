-- Words, prices and size of the demo shop. Run this file once on a connection, before items.sql and events.sql.
-- An item's theme, step, style and variant follow from its number alone, so items.sql and events.sql agree on them
-- without a join.

-- One row a theme. A theme is a visitor's hobby; visitors who change their hobby go on to the next theme in this order.
-- The uses of a theme mean the same in different words, so that the meaning of a title tells more than its keywords.
create or replace temp table demo_themes as
select *
from (
    values
    (0, 'Coffee', ['for coffee lovers', 'for home baristas', 'for slow mornings and fresh brews']),
    (1, 'Baking', ['for home bakers', 'for sourdough and cakes', 'for weekend ovens']),
    (2, 'Gardening', ['for gardeners', 'for balconies and vegetable beds', 'for the greenhouse']),
    (3, 'Dogs', ['for dogs', 'for puppies and their owners', 'for daily walkies']),
    (4, 'Camping', ['for campers', 'for nights under canvas', 'for the backcountry']),
    (5, 'Running', ['for runners', 'for marathon training', 'for road and trail miles']),
    (6, 'Cycling', ['for cyclists', 'for the ride to work', 'for long days in the saddle']),
    (7, 'Yoga', ['for yoga', 'for stretching and breathing', 'for the studio or the living room']),
    (8, 'Skincare', ['for glowing skin', 'for a gentle face routine', 'for dry and sensitive complexions']),
    (9, 'Home office', ['for the home office', 'for remote work', 'for long days at the desk']),
    (10, 'Photography', ['for photographers', 'for portraits and landscapes', 'for budding picture makers']),
    (11, 'Painting', ['for painters', 'for art class', 'for the artist''s studio'])
) as themes (theme, theme_name, uses);

-- One row a style. A visitor mostly keeps to one style. All words of a style mean the same; the variant of an item
-- decides which of them is in its title.
create or replace temp table demo_styles as
select *
from (
    values
    (
        0, 0.60, ['budget', 'everyday', 'value', 'basic'], ['Pennywick', 'Tuppsy', 'Plainmark', 'Savelle'],
        'Sensible quality at a low price.'
    ),
    (
        1, 1.10, ['plastic-free', 'sustainable', 'eco-friendly', 'low-waste'],
        ['Fernlowe', 'Mossarch', 'Verdhollow', 'Tidewren'], 'Made with care for the planet.'
    ),
    (
        2, 1.60, ['professional', 'expert', 'pro-grade', 'specialist'],
        ['Axtellon', 'Korvane', 'Brightforge', 'Measurel'],
        'Built for people who do this all day.'
    ),
    (
        3, 1.20, ['travel', 'pocket', 'lightweight', 'compact'], ['Roamlet', 'Packadew', 'Wayfold', 'Nimbrook'],
        'Small, light and easy to carry.'
    ),
    (
        4, 2.20, ['luxury', 'designer', 'deluxe', 'gold label'],
        ['Maison Orvelle', 'Aurelisse', 'Halcourt', 'Belvarre'],
        'An indulgent gift, beautifully boxed.'
    ),
    (
        5, 1.40, ['vintage', 'heritage', 'old-fashioned', 'traditional'],
        ['Harrow & Thistle', 'Oldcastle Row', 'Wexmoor', 'Penhallick'], 'As your grandparents knew it.'
    )
) as styles (style, price_factor, words, brands, promise);

-- Details, such as a colour or a size, by which two variants with the same noun and style word differ.
create or replace temp table demo_details as
select *
from (
    values
    ('colour', ['sage green', 'charcoal', 'cream', 'navy', 'terracotta', 'mustard', 'sky blue', 'white']),
    ('size', ['size XS', 'size S', 'size M', 'size L', 'size XL', 'size XXL', 'size 3XL', 'size 4XL']),
    ('weight', ['100 g', '200 g', '250 g', '350 g', '500 g', '750 g', '1 kg', '2 kg']),
    ('volume', ['30 ml', '50 ml', '75 ml', '100 ml', '150 ml', '200 ml', '250 ml', '400 ml']),
    ('count', ['single', 'pack of 2', 'pack of 3', 'pack of 4', 'pack of 6', 'pack of 8', 'pack of 10', 'pack of 12'])
) as details (detail, options);

-- One row a theme and step. A step is a kind of product; people who follow a theme buy its kinds of products in this
-- order.
create or replace temp table demo_steps as
select *
from (
    values
    (0, 0, 'Beans', 'weight', 12, ['coffee beans', 'espresso roast', 'single-origin arabica']),
    (0, 1, 'Grinders', 'colour', 45, ['hand coffee grinder', 'burr grinder', 'manual bean mill']),
    (0, 2, 'Drippers', 'colour', 22, ['pour-over dripper', 'cone brewer', 'drip coffee maker']),
    (0, 3, 'Filters', 'count', 6, ['paper filters', 'cone filter papers', 'brewing filter sheets']),
    (0, 4, 'Kettles', 'colour', 58, ['gooseneck kettle', 'slow-pour kettle', 'swan-neck water kettle']),
    (0, 5, 'Servers', 'colour', 26, ['glass coffee server', 'coffee carafe', 'heatproof coffee jug']),
    (0, 6, 'Mugs', 'colour', 14, ['stoneware mug', 'espresso cup', 'cappuccino cup and saucer']),
    (0, 7, 'Cleaning', 'count', 9, ['descaling tablets', 'grinder cleaning brush', 'coffee stain remover']),
    (1, 0, 'Flour', 'weight', 5, ['strong bread flour', 'wholemeal rye flour', 'pastry flour']),
    (1, 1, 'Scales', 'colour', 24, ['kitchen scales', 'dough weighing scale', 'measuring cup set']),
    (1, 2, 'Bowls', 'colour', 19, ['mixing bowl', 'batter bowl', 'dough kneading tub']),
    (1, 3, 'Whisks', 'colour', 11, ['balloon whisk', 'dough hook', 'rubber spatula']),
    (1, 4, 'Proving', 'colour', 17, ['proofing basket', 'banneton with liner', 'bread proving cloth']),
    (1, 5, 'Tins', 'count', 16, ['loaf tin', 'cake tin', 'muffin tray']),
    (1, 6, 'Oven gloves', 'colour', 13, ['oven gloves', 'heat-resistant mitts', 'pot holders']),
    (1, 7, 'Cake stands', 'colour', 28, ['cake stand', 'wire cooling rack', 'bread bin']),
    (2, 0, 'Seeds', 'count', 4, ['tomato seeds', 'wildflower seed mix', 'herb seed packets']),
    (2, 1, 'Compost', 'weight', 8, ['potting compost', 'seedling soil', 'garden peat-free mulch']),
    (2, 2, 'Pots', 'colour', 12, ['plant pot', 'seedling tray', 'window box planter']),
    (2, 3, 'Hand tools', 'colour', 15, ['garden trowel', 'hand fork', 'weeding hoe']),
    (2, 4, 'Watering', 'colour', 21, ['watering can', 'garden hose', 'plant mister']),
    (2, 5, 'Plant food', 'volume', 9, ['tomato feed', 'liquid plant food', 'seaweed fertiliser']),
    (2, 6, 'Pruning', 'colour', 23, ['pruning shears', 'secateurs', 'hedge clippers']),
    (2, 7, 'Harvest', 'colour', 18, ['harvest basket', 'vegetable trug', 'berry picking pail']),
    (3, 0, 'Food', 'weight', 16, ['dry dog food', 'puppy kibble', 'grain-free dog dinner']),
    (3, 1, 'Dishes', 'colour', 12, ['dog bowl', 'slow feeder dish', 'pet water fountain']),
    (3, 2, 'Beds', 'colour', 44, ['dog bed', 'puppy basket', 'pet sleeping cushion']),
    (3, 3, 'Collars', 'size', 14, ['dog collar', 'dog harness', 'puppy neckband']),
    (3, 4, 'Leads', 'colour', 15, ['dog lead', 'retractable leash', 'puppy training lead']),
    (3, 5, 'Toys', 'colour', 8, ['chew toy', 'fetch ball', 'rope tug toy']),
    (3, 6, 'Treats', 'weight', 6, ['dog treats', 'puppy training biscuits', 'dental chew sticks']),
    (3, 7, 'Grooming', 'colour', 13, ['dog grooming brush', 'puppy shampoo bar', 'pet nail clippers']),
    (4, 0, 'Tents', 'colour', 160, ['two-person tent', 'dome tent', 'tunnel shelter']),
    (4, 1, 'Groundsheets', 'colour', 25, ['tent groundsheet', 'waterproof tarp', 'tent footprint']),
    (4, 2, 'Sleeping mats', 'colour', 48, ['sleeping mat', 'inflatable camp mattress', 'foam camping pad']),
    (4, 3, 'Sleeping bags', 'size', 85, ['sleeping bag', 'down quilt for camping', 'fleece bag liner']),
    (4, 4, 'Lanterns', 'colour', 24, ['camping lantern', 'head torch', 'tent light']),
    (4, 5, 'Stoves', 'colour', 52, ['camping stove', 'gas burner', 'trail cooker']),
    (4, 6, 'Cookware', 'count', 30, ['camping cook set', 'billy pot', 'outdoor mess tin']),
    (4, 7, 'Camp chairs', 'colour', 39, ['camp chair', 'folding stool', 'hammock']),
    (5, 0, 'Shoes', 'size', 98, ['running shoes', 'trail trainers', 'jogging sneakers']),
    (5, 1, 'Socks', 'size', 11, ['running socks', 'anti-blister socks', 'ankle sports socks']),
    (5, 2, 'Shorts', 'size', 32, ['running shorts', 'jogging tights', 'split shorts']),
    (5, 3, 'Tops', 'size', 29, ['running vest', 'wicking sports tee', 'long-sleeve running top']),
    (5, 4, 'Jackets', 'size', 75, ['running jacket', 'windbreaker', 'rain shell for runners']),
    (5, 5, 'Watches', 'colour', 180, ['running watch', 'heart rate monitor', 'GPS fitness tracker']),
    (5, 6, 'Hydration', 'colour', 35, ['hydration vest', 'running water bottle', 'soft flask']),
    (5, 7, 'Recovery', 'colour', 22, ['foam roller', 'muscle massage ball', 'calf compression sleeve']),
    (6, 0, 'Bicycles', 'size', 650, ['city bicycle', 'road bike', 'gravel bike']),
    (6, 1, 'Helmets', 'size', 62, ['cycling helmet', 'bike helmet with visor', 'commuter cycle helmet']),
    (6, 2, 'Locks', 'colour', 38, ['bike lock', 'bicycle chain lock', 'wheel cable lock']),
    (6, 3, 'Bike lights', 'colour', 27, ['bike light set', 'rear bicycle lamp', 'handlebar headlight']),
    (6, 4, 'Pumps', 'colour', 25, ['bicycle pump', 'tyre inflator', 'track pump']),
    (6, 5, 'Repair', 'count', 12, ['puncture repair kit', 'bike inner tube', 'tyre lever and multi-tool']),
    (6, 6, 'Bike bags', 'colour', 47, ['pannier bag', 'saddle bag', 'handlebar pack']),
    (6, 7, 'Bike care', 'volume', 10, ['bike chain oil', 'bicycle degreaser', 'bike frame wash']),
    (7, 0, 'Mats', 'colour', 34, ['yoga mat', 'pilates exercise mat', 'stretching rug']),
    (7, 1, 'Blocks', 'colour', 13, ['yoga block', 'cork yoga brick', 'pose support wedge']),
    (7, 2, 'Straps', 'colour', 10, ['yoga strap', 'stretching band', 'mat carrying sling']),
    (7, 3, 'Leggings', 'size', 42, ['yoga leggings', 'harem yoga pants', 'pilates tights']),
    (7, 4, 'Yoga tops', 'size', 28, ['yoga tank top', 'loose wrap top for yoga', 'sports bra']),
    (7, 5, 'Bolsters', 'colour', 40, ['yoga bolster', 'meditation cushion', 'zafu floor pillow']),
    (7, 6, 'Calm', 'count', 12, ['incense sticks', 'meditation candle', 'relaxing eye pillow']),
    (7, 7, 'Tea', 'weight', 8, ['herbal calming tea', 'chamomile infusion', 'turmeric chai blend']),
    (8, 0, 'Cleansers', 'volume', 15, ['face cleanser', 'foaming face wash', 'cleansing balm']),
    (8, 1, 'Toners', 'volume', 17, ['facial toner', 'rose water mist', 'exfoliating face tonic']),
    (8, 2, 'Serums', 'volume', 29, ['vitamin C serum', 'hyaluronic face serum', 'retinol night serum']),
    (8, 3, 'Eye care', 'volume', 24, ['eye cream', 'under-eye gel', 'dark circle balm']),
    (8, 4, 'Moisturisers', 'volume', 22, ['face moisturiser', 'hydrating day cream', 'barrier repair lotion']),
    (8, 5, 'Sun care', 'volume', 19, ['sunscreen SPF 50', 'mineral sun cream', 'UV face fluid']),
    (8, 6, 'Masks', 'count', 11, ['clay face mask', 'sheet mask', 'overnight sleeping mask']),
    (8, 7, 'Lip care', 'count', 6, ['lip balm', 'sugar lip scrub', 'overnight lip mask']),
    (9, 0, 'Desks', 'colour', 240, ['standing desk', 'writing desk', 'corner computer table']),
    (9, 1, 'Chairs', 'colour', 190, ['office chair', 'ergonomic swivel chair', 'kneeling desk chair']),
    (9, 2, 'Screens', 'colour', 210, ['computer monitor', 'widescreen display', 'second laptop screen']),
    (9, 3, 'Stands', 'colour', 36, ['monitor arm', 'laptop stand', 'screen riser']),
    (9, 4, 'Keyboards', 'colour', 65, ['mechanical keyboard', 'wireless keyboard', 'split typing keyboard']),
    (9, 5, 'Mice', 'colour', 33, ['wireless mouse', 'vertical mouse', 'trackball']),
    (9, 6, 'Lamps', 'colour', 37, ['desk lamp', 'reading light', 'monitor light bar']),
    (9, 7, 'Organisers', 'colour', 16, ['desk organiser', 'pen pot', 'cable tidy']),
    (10, 0, 'Cameras', 'colour', 520, ['mirrorless camera', 'film camera', 'compact digital camera']),
    (10, 1, 'Lenses', 'colour', 310, ['portrait lens', 'wide-angle lens', 'zoom lens']),
    (10, 2, 'Lens filters', 'count', 27, ['UV lens filter', 'polarising filter', 'neutral density filter']),
    (10, 3, 'Memory', 'count', 22, ['memory card', 'SD card', 'photo storage card']),
    (10, 4, 'Batteries', 'count', 31, ['camera battery', 'dual battery charger', 'battery grip']),
    (10, 5, 'Tripods', 'colour', 70, ['camera tripod', 'photo monopod', 'table-top tripod']),
    (10, 6, 'Camera bags', 'colour', 64, ['camera bag', 'photo backpack', 'camera shoulder strap']),
    (10, 7, 'Albums', 'colour', 20, ['photo album', 'picture frame', 'print scrapbook']),
    (11, 0, 'Paints', 'count', 18, ['watercolour paints', 'acrylic paint set', 'oil colour tubes']),
    (11, 1, 'Brushes', 'count', 14, ['paint brush set', 'round sable brush', 'artist palette knife']),
    (11, 2, 'Palettes', 'colour', 9, ['paint palette', 'colour mixing tray', 'brush water pot']),
    (11, 3, 'Paper', 'count', 16, ['watercolour paper pad', 'artist sketchbook', 'cold-pressed art paper']),
    (11, 4, 'Canvas', 'count', 19, ['stretched canvas', 'canvas board', 'linen painting panel']),
    (11, 5, 'Easels', 'colour', 56, ['studio easel', 'table easel', 'artist drawing board']),
    (11, 6, 'Varnish', 'volume', 13, ['picture varnish', 'acrylic medium', 'turpentine brush cleaner']),
    (11, 7, 'Frames', 'colour', 32, ['picture mount', 'wooden canvas frame', 'hanging art rail'])
) as steps (theme, step, step_name, detail, base_price, nouns);

-- The sizes of the catalogue: how many items are warm, which means that they can have events, and how many styles,
-- themes and cells there are. The newest 4 % of the items are cold: nobody has seen them yet. A cell is a combination
-- of theme, step and style. A small shop has fewer styles and themes, so that each cell has an item.
create or replace temp macro demo_catalog_sizes(item_count) as table
    select
        item_count - greatest(1, item_count // 25) as warm_count,
        least(6, greatest(2, warm_count // 24)) as style_count,
        least(12, warm_count // (8 * style_count)) as theme_count,
        8 * style_count * theme_count as cell_count;

-- A pseudo-random number in [0, 1), which depends only on the arguments: the only source of chance in the demo shop.
-- `subject` is the number of the visitor, visit, view or item for which something is drawn; `salt` names what is drawn.
-- The outer hash is needed, because a plain hash(subject, salt) gives correlated numbers for two different salts.
create or replace temp macro demo_draw(seed, subject, salt) as
hash(xor(hash(seed::bigint, salt), hash(subject::bigint))) / 18446744073709551616.0;

-- The number of views in a visit, from a random number `draw` in [0, 1): 1 view in 12 % of the visits, else 2 to 9.
create or replace temp macro demo_visit_length(draw) as
case when draw < 0.12 then 1 else 2 + floor(8 * (draw - 0.12) / 0.88) end::bigint;

create or replace temp macro demo_item_id(item) as 'sku-' || lpad(item::varchar, 6, '0');

create or replace temp macro demo_time(epoch_seconds) as
make_timestamp((epoch_seconds * 1000000)::bigint)::varchar || '+00';
