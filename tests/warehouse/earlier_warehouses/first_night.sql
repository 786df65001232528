-- a warehouse as the code of commit da97df0 left it; made by make.py in this folder
create schema if not exists raw;
create schema if not exists ml;
create schema if not exists staging;
create schema if not exists sessions;
create schema if not exists catalog;
CREATE TABLE "catalog".item_texts(item_id VARCHAR, "text" VARCHAR, text_hash VARCHAR, template_version VARCHAR);
insert into catalog.item_texts values
('i0', 'Red kettle. Alba. Kitchen', '4384f501e03e87707f7d21c052ae22a0f39df0e2a08357c734d9b7c236ae1059', 'title+brand+category'),
('i1', 'Copper pan. Alba. Kitchen', 'cd21e0cdb3948dc663288bd0bc230009d7500a43ea274c5836fb192333b9dd25', 'title+brand+category'),
('i2', 'Steel pan. Alba. Kitchen', 'c78ac59c2645c62c8fdada24426955d370242f8560a0e91ac4617729e39fdee8', 'title+brand+category'),
('i3', 'Bread knife. Alba. Kitchen', '7ec93730ec4f2ef549d0f3a35a400d1d3118ce2c4acf2564cddc615c1d7a174b', 'title+brand+category');
CREATE TABLE "catalog".items(item_id VARCHAR, title VARCHAR, brand VARCHAR, category VARCHAR, description VARCHAR, price DOUBLE, available BOOLEAN, updated_at TIMESTAMP WITH TIME ZONE);
insert into catalog.items values
('i0', 'Red kettle', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz),
('i1', 'Copper pan', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz),
('i2', 'Steel pan', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz),
('i3', 'Bread knife', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz);
CREATE TABLE ml.embeddings(embedding_model VARCHAR, dimensions INTEGER, text_hash VARCHAR, embedding FLOAT[], status VARCHAR NOT NULL, "error" VARCHAR, tokens BIGINT, run_id VARCHAR NOT NULL, created_at TIMESTAMP WITH TIME ZONE NOT NULL, PRIMARY KEY(embedding_model, dimensions, text_hash));
insert into ml.embeddings values
('all-MiniLM-L6-v2', 384, '4384f501e03e87707f7d21c052ae22a0f39df0e2a08357c734d9b7c236ae1059', [0.02, -0.03, -0.04, 0.05, -0.05, 0.05, 0.08, -0.08, 0.05, -0.13, 0.0, -0.13, -0.06, -0.01, 0.01, -0.04, -0.01, -0.06, 0.01, -0.09, -0.03, 0.08, 0.02, 0.05, -0.02, 0.02, -0.01, 0.03, -0.04, -0.05, 0.02, 0.01, -0.04, 0.02, -0.03, 0.05, -0.04, -0.05, -0.03, 0.01, -0.04, -0.03, 0.06, 0.05, 0.08, 0.03, -0.01, 0.05, 0.03, -0.06, -0.03, -0.05, -0.05, 0.03, 0.05, 0.04, 0.05, -0.07, 0.05, 0.02, -0.01, 0.05, -0.06, 0.1, -0.04, 0.02, -0.01, 0.08, -0.08, 0.04, 0.01, -0.09, 0.03, 0.06, 0.01, -0.01, 0.03, -0.06, -0.08, 0.04, -0.06, -0.03, -0.1, 0.08, -0.01, -0.01, -0.02, -0.04, 0.0, -0.06, -0.05, 0.02, -0.01, 0.07, -0.02, 0.06, -0.04, 0.0, -0.06, 0.09, -0.03, 0.11, -0.07, 0.0, -0.01, 0.0, -0.03, 0.01, -0.01, -0.07, -0.03, -0.02, -0.07, -0.02, 0.0, -0.03, 0.02, -0.11, -0.11, -0.02, -0.02, 0.01, -0.07, -0.04, -0.06, -0.08, -0.03, 0.0, 0.0, -0.04, 0.09, 0.05, 0.16, 0.04, -0.04, 0.04, 0.01, 0.06, 0.1, 0.01, -0.09, -0.07, 0.09, 0.04, 0.06, 0.07, 0.0, -0.05, -0.07, 0.03, 0.01, -0.02, -0.02, -0.01, 0.04, -0.1, 0.03, 0.06, 0.0, 0.0, -0.01, 0.02, -0.14, -0.01, -0.09, -0.05, 0.0, 0.05, -0.07, 0.09, 0.05, 0.06, 0.02, 0.04, -0.03, 0.06, 0.09, 0.09, 0.05, -0.03, 0.08, 0.07, 0.0, 0.01, 0.02, 0.09, 0.03, 0.03, 0.01, 0.05, -0.07, 0.07, 0.01, 0.04, 0.04, 0.0, 0.02, -0.07, -0.1, -0.03, 0.07, -0.01, 0.0, -0.05, -0.02, -0.06, 0.02, -0.01, -0.02, 0.09, 0.05, 0.04, 0.03, 0.04, 0.01, 0.03, 0.06, 0.1, -0.09, 0.02, 0.11, -0.08, -0.08, 0.0, -0.03, -0.08, -0.08, 0.02, 0.04, -0.1, 0.03, 0.03, 0.02, 0.0, 0.0, -0.03, 0.07, 0.0, -0.01, 0.01, 0.03, 0.07, -0.03, 0.07, 0.07, 0.03, 0.0, 0.01, -0.07, 0.02, 0.05, 0.07, -0.07, -0.07, -0.06, 0.0, -0.06, -0.05, -0.03, 0.07, 0.01, -0.04, -0.05, 0.1, 0.04, 0.0, -0.05, 0.02, 0.01, 0.07, -0.09, 0.01, -0.01, -0.05, 0.02, -0.03, -0.01, 0.03, 0.03, -0.01, -0.01, -0.02, -0.01, 0.04, 0.0, 0.03, 0.0, 0.1, -0.01, 0.02, -0.03, 0.03, -0.04, 0.02, -0.01, 0.04, -0.04, -0.02, -0.11, -0.04, -0.05, -0.02, -0.06, 0.02, -0.01, 0.06, -0.02, 0.04, 0.09, -0.1, 0.0, -0.04, 0.03, -0.02, 0.01, 0.02, -0.02, -0.05, 0.04, 0.0, -0.05, 0.04, 0.05, 0.01, 0.08, -0.02, 0.0, 0.02, 0.02, 0.03, 0.0, -0.01, 0.05, -0.01, 0.0, 0.03, -0.02, -0.04, 0.02, 0.02, 0.12, 0.06, 0.03, -0.02, -0.02, -0.03, 0.03, 0.07, 0.0, 0.03, 0.01, -0.01, 0.01, 0.03, 0.04, -0.06, -0.02, 0.0, -0.04, -0.03, -0.1, -0.06, -0.07, -0.03, -0.01, 0.0, -0.03, 0.04, 0.03, 0.0, 0.07, -0.01, 0.14, -0.04, 0.07, 0.01, 0.0, 0.01, -0.09, 0.08, 0.08, -0.01, 0.01, 0.03], 'ok', null, null, 'embed-20261127T223833-c03780', '2026-11-27 22:38:59.479148+00:00'::timestamptz),
('all-MiniLM-L6-v2', 384, '7ec93730ec4f2ef549d0f3a35a400d1d3118ce2c4acf2564cddc615c1d7a174b', [0.04, 0.04, -0.01, 0.04, -0.08, 0.01, 0.05, -0.04, 0.05, 0.0, 0.09, -0.12, -0.07, 0.02, 0.01, -0.07, 0.01, -0.06, 0.0, 0.0, -0.02, 0.09, 0.04, 0.04, 0.0, 0.0, 0.0, 0.0, -0.02, -0.08, 0.04, 0.02, 0.01, 0.04, 0.01, 0.0, 0.03, -0.01, 0.02, 0.02, -0.04, -0.02, 0.04, 0.01, 0.1, -0.01, 0.02, 0.02, 0.01, -0.02, -0.1, -0.04, -0.08, -0.06, -0.01, 0.05, 0.02, -0.05, 0.04, 0.04, 0.05, 0.08, -0.05, 0.11, -0.04, 0.0, 0.01, 0.04, -0.09, 0.03, -0.01, -0.05, 0.0, 0.05, 0.01, -0.04, 0.05, -0.08, -0.04, -0.02, -0.14, -0.01, -0.09, 0.06, -0.01, -0.03, -0.03, 0.02, -0.01, -0.04, -0.02, -0.03, -0.01, 0.06, -0.08, 0.01, -0.06, 0.01, -0.1, 0.09, -0.04, 0.01, -0.04, -0.02, -0.06, 0.09, -0.01, -0.03, -0.01, -0.07, -0.04, 0.04, -0.17, -0.05, 0.0, -0.04, 0.03, -0.04, 0.04, 0.04, -0.04, 0.03, -0.04, 0.01, -0.11, -0.02, 0.06, 0.0, 0.02, 0.0, 0.05, 0.03, 0.1, -0.04, 0.0, 0.0, -0.04, 0.06, 0.03, -0.06, -0.09, 0.0, 0.14, 0.05, 0.04, 0.03, -0.02, -0.03, -0.05, 0.03, 0.01, -0.01, 0.05, -0.01, 0.11, -0.11, 0.04, 0.07, 0.04, 0.02, 0.02, -0.02, -0.11, 0.06, -0.04, -0.06, -0.01, 0.01, -0.05, 0.03, 0.03, -0.01, 0.0, 0.04, 0.07, 0.13, 0.04, 0.07, 0.04, -0.02, 0.08, 0.08, -0.02, 0.01, 0.01, 0.07, 0.0, 0.06, 0.05, 0.04, -0.04, 0.09, -0.04, 0.03, 0.11, -0.03, 0.0, -0.08, -0.15, -0.05, 0.05, 0.04, -0.04, -0.02, -0.06, -0.01, -0.04, 0.0, 0.0, 0.11, 0.07, -0.03, -0.03, 0.06, 0.03, -0.03, 0.06, 0.07, -0.08, 0.0, 0.12, -0.02, -0.05, 0.0, 0.0, -0.09, -0.01, 0.04, -0.01, -0.04, -0.02, -0.07, -0.07, -0.05, -0.06, -0.04, 0.1, -0.08, 0.01, -0.03, 0.04, 0.04, 0.01, 0.0, 0.02, 0.02, 0.04, -0.03, -0.04, 0.01, 0.04, 0.1, -0.11, -0.06, -0.07, -0.02, -0.01, -0.02, -0.08, 0.1, -0.07, -0.03, 0.0, 0.06, -0.03, -0.01, 0.03, 0.07, -0.08, 0.02, 0.01, 0.0, 0.0, 0.01, 0.03, 0.01, 0.02, -0.04, 0.0, 0.05, -0.09, -0.1, 0.03, 0.01, 0.01, 0.0, 0.05, 0.12, 0.08, -0.03, -0.04, 0.03, -0.07, 0.0, 0.03, 0.08, 0.01, 0.03, -0.1, 0.02, -0.07, -0.12, -0.09, 0.02, -0.01, -0.03, -0.04, 0.06, 0.01, -0.04, 0.01, 0.02, 0.03, -0.05, -0.02, 0.02, 0.02, -0.02, 0.02, 0.0, 0.02, 0.05, 0.02, 0.02, 0.0, 0.01, 0.01, 0.0, 0.04, 0.0, -0.01, 0.01, 0.0, 0.07, -0.04, -0.06, 0.03, 0.02, 0.02, 0.01, 0.1, 0.01, 0.08, -0.06, -0.03, 0.0, 0.0, 0.11, 0.04, 0.06, 0.02, -0.01, 0.05, 0.04, 0.02, -0.02, -0.08, 0.01, -0.05, 0.0, 0.0, -0.06, -0.02, -0.03, -0.04, 0.03, 0.04, 0.02, -0.02, 0.01, 0.02, 0.04, 0.11, 0.0, 0.03, 0.04, 0.01, -0.01, -0.04, 0.07, 0.04, -0.1, -0.08, 0.05], 'ok', null, null, 'embed-20261127T223833-c03780', '2026-11-27 22:38:59.479148+00:00'::timestamptz),
('all-MiniLM-L6-v2', 384, 'c78ac59c2645c62c8fdada24426955d370242f8560a0e91ac4617729e39fdee8', [0.0, 0.0, -0.01, 0.11, -0.03, 0.0, 0.13, -0.05, 0.06, -0.1, -0.01, -0.13, -0.05, 0.02, -0.02, -0.09, 0.06, -0.08, 0.01, -0.02, -0.04, 0.05, 0.01, 0.07, 0.0, 0.07, -0.02, 0.05, -0.02, -0.03, -0.01, 0.02, -0.02, 0.07, -0.02, -0.04, -0.04, -0.02, -0.05, -0.02, -0.03, -0.02, 0.08, -0.04, 0.14, 0.04, 0.01, 0.01, 0.04, 0.02, -0.07, -0.06, -0.05, 0.0, 0.04, 0.0, 0.02, -0.07, 0.03, 0.04, 0.0, 0.04, 0.0, 0.09, -0.01, -0.01, -0.03, 0.1, -0.08, 0.01, 0.01, 0.01, 0.01, 0.07, 0.04, 0.0, 0.09, -0.1, -0.05, -0.05, -0.11, 0.0, -0.07, 0.05, 0.01, 0.01, -0.03, 0.02, -0.01, -0.04, -0.01, 0.05, -0.08, 0.06, -0.03, 0.03, -0.08, -0.01, -0.13, 0.08, -0.04, 0.03, 0.0, -0.03, -0.11, 0.05, 0.02, 0.02, -0.02, -0.05, -0.06, -0.02, -0.1, -0.05, -0.01, -0.04, 0.03, -0.06, -0.04, 0.01, -0.04, 0.03, -0.04, -0.03, -0.14, -0.06, 0.06, 0.0, 0.02, -0.01, 0.09, 0.07, 0.1, -0.05, 0.01, -0.02, -0.02, 0.04, 0.03, -0.06, -0.08, -0.04, 0.14, -0.01, 0.06, 0.03, 0.04, -0.06, -0.06, 0.09, 0.0, -0.03, 0.01, -0.03, 0.04, -0.08, -0.06, 0.08, 0.01, 0.07, 0.0, 0.0, -0.08, 0.03, -0.03, -0.09, -0.01, 0.02, -0.07, 0.01, 0.06, 0.09, -0.02, 0.01, 0.01, 0.15, 0.0, 0.07, 0.0, 0.03, 0.05, 0.02, -0.01, 0.05, 0.02, 0.0, 0.02, 0.05, 0.03, 0.05, -0.1, 0.09, -0.04, 0.0, 0.05, -0.01, -0.02, -0.05, -0.06, -0.05, 0.06, 0.08, -0.02, -0.01, -0.06, -0.03, 0.02, -0.01, 0.02, 0.08, 0.03, -0.01, -0.07, 0.09, 0.05, 0.04, 0.06, 0.04, -0.04, -0.03, 0.14, -0.08, -0.1, 0.0, -0.02, -0.08, -0.09, 0.05, 0.0, -0.09, -0.02, -0.05, 0.0, -0.02, 0.03, -0.08, 0.08, -0.07, 0.0, -0.01, 0.02, 0.04, 0.05, -0.03, 0.06, 0.01, -0.02, -0.01, -0.11, 0.02, -0.01, 0.1, -0.08, 0.02, -0.06, -0.05, 0.0, 0.0, -0.03, 0.01, 0.02, -0.06, 0.0, 0.05, 0.0, 0.01, 0.03, 0.12, -0.02, 0.05, -0.06, 0.03, 0.06, -0.02, 0.01, -0.04, 0.05, -0.04, 0.06, 0.04, -0.03, -0.06, -0.02, 0.04, 0.04, 0.03, 0.04, 0.11, 0.08, 0.02, -0.01, 0.03, -0.05, -0.02, 0.02, 0.05, -0.01, -0.03, -0.08, -0.04, 0.03, -0.02, -0.05, 0.04, 0.02, 0.01, 0.01, 0.05, 0.0, -0.06, -0.03, 0.02, 0.04, -0.05, -0.04, 0.02, 0.03, -0.06, -0.04, 0.0, -0.03, 0.02, 0.03, -0.02, -0.03, 0.0, 0.03, -0.02, 0.05, -0.02, -0.02, 0.0, 0.01, 0.02, -0.02, -0.02, 0.01, 0.01, 0.03, -0.06, 0.13, 0.04, 0.08, -0.07, -0.01, 0.0, -0.02, 0.08, -0.01, 0.07, -0.04, -0.04, 0.0, 0.04, 0.01, -0.01, -0.08, -0.02, -0.05, -0.03, -0.03, -0.02, -0.03, -0.04, 0.06, 0.04, 0.01, 0.01, -0.03, -0.04, 0.03, 0.04, 0.15, 0.05, 0.03, 0.02, 0.02, -0.04, -0.03, 0.05, 0.04, -0.02, -0.03, 0.1], 'ok', null, null, 'embed-20261127T223833-c03780', '2026-11-27 22:38:59.479148+00:00'::timestamptz),
('all-MiniLM-L6-v2', 384, 'cd21e0cdb3948dc663288bd0bc230009d7500a43ea274c5836fb192333b9dd25', [-0.02, 0.0, 0.0, 0.06, -0.02, -0.02, 0.11, -0.06, 0.05, -0.09, 0.01, -0.15, -0.04, -0.02, -0.06, -0.12, 0.07, -0.06, 0.02, -0.03, -0.07, 0.05, 0.02, 0.04, -0.05, 0.07, -0.02, 0.04, -0.03, -0.07, 0.0, 0.04, -0.05, 0.08, -0.03, -0.03, -0.06, 0.02, -0.04, -0.03, 0.03, -0.02, 0.12, -0.04, 0.12, 0.01, 0.04, 0.03, 0.02, -0.02, 0.01, -0.03, -0.05, 0.03, 0.05, 0.02, 0.0, -0.11, 0.01, -0.01, 0.0, 0.02, -0.05, 0.1, -0.01, -0.01, -0.04, 0.09, -0.05, 0.03, -0.02, 0.03, -0.01, 0.06, 0.03, 0.08, 0.15, -0.1, -0.04, -0.06, -0.1, 0.03, -0.05, 0.04, 0.05, 0.0, 0.0, -0.01, -0.05, -0.12, 0.02, 0.07, -0.05, 0.04, -0.03, 0.03, -0.09, -0.05, -0.12, 0.06, 0.0, 0.07, -0.03, -0.07, -0.11, 0.05, -0.02, 0.03, -0.01, -0.03, -0.06, -0.03, -0.11, -0.05, 0.01, -0.03, 0.0, -0.05, -0.03, -0.01, -0.08, 0.01, -0.08, -0.03, -0.12, -0.06, 0.07, 0.0, -0.03, 0.02, 0.06, 0.03, 0.17, 0.0, 0.01, -0.03, -0.03, 0.04, 0.05, -0.03, -0.08, -0.02, 0.08, 0.0, 0.05, 0.03, 0.03, -0.1, -0.06, 0.09, 0.01, -0.01, 0.04, -0.07, 0.01, -0.06, -0.03, 0.05, 0.03, 0.05, 0.05, 0.0, -0.06, 0.03, -0.01, -0.05, 0.05, 0.07, -0.05, 0.01, 0.08, 0.08, -0.04, 0.0, 0.0, 0.16, -0.01, 0.07, 0.02, -0.01, 0.07, 0.03, -0.01, 0.0, -0.02, -0.01, 0.06, 0.0, 0.05, 0.06, -0.11, 0.06, -0.06, 0.01, 0.05, 0.0, 0.0, -0.04, -0.06, -0.03, 0.02, 0.05, 0.05, 0.0, -0.08, -0.04, 0.04, 0.03, -0.01, 0.08, 0.02, 0.01, -0.04, 0.02, 0.01, 0.06, 0.09, 0.02, -0.01, -0.01, 0.12, -0.07, -0.08, 0.0, -0.03, -0.06, -0.08, 0.07, 0.04, -0.11, 0.0, -0.03, 0.02, -0.05, 0.04, -0.04, 0.08, -0.07, 0.04, -0.01, -0.01, 0.09, 0.04, -0.01, 0.0, -0.03, -0.04, -0.01, -0.1, 0.02, 0.0, 0.08, -0.07, -0.01, -0.07, 0.02, -0.02, 0.05, -0.08, 0.0, 0.06, -0.05, -0.02, 0.06, 0.06, 0.03, 0.01, 0.12, -0.02, 0.02, -0.04, 0.0, 0.0, 0.02, 0.02, -0.01, 0.05, 0.0, 0.06, 0.07, 0.0, -0.05, 0.0, 0.04, 0.02, 0.01, -0.01, 0.09, 0.08, 0.02, 0.0, 0.08, -0.04, -0.02, 0.02, 0.05, -0.02, -0.09, -0.09, -0.01, 0.03, 0.0, 0.0, 0.07, -0.03, 0.0, 0.02, 0.02, 0.0, -0.02, -0.02, 0.05, 0.03, -0.02, -0.07, -0.02, 0.05, -0.02, 0.01, 0.0, -0.01, 0.03, 0.05, -0.02, 0.0, 0.02, 0.06, 0.01, 0.02, 0.0, -0.03, -0.01, 0.02, 0.01, 0.0, 0.04, 0.02, -0.03, 0.02, -0.05, 0.09, 0.06, 0.06, -0.06, -0.04, 0.03, 0.02, 0.09, -0.09, 0.06, -0.04, -0.05, -0.01, 0.03, 0.03, -0.03, -0.05, -0.02, -0.01, -0.05, -0.06, -0.04, -0.03, -0.06, 0.05, -0.01, 0.02, 0.03, -0.02, -0.03, -0.02, 0.04, 0.12, 0.0, 0.05, -0.03, 0.0, -0.03, -0.06, 0.05, 0.03, -0.02, -0.03, 0.08], 'ok', null, null, 'embed-20261127T223833-c03780', '2026-11-27 22:38:59.479148+00:00'::timestamptz);
CREATE TABLE ml.job_runs(run_id VARCHAR PRIMARY KEY, job VARCHAR NOT NULL, started_at TIMESTAMP WITH TIME ZONE NOT NULL, finished_at TIMESTAMP WITH TIME ZONE, status VARCHAR NOT NULL, rows_in BIGINT, rows_out BIGINT, "cost" DOUBLE, detail JSON, "error" VARCHAR);
insert into ml.job_runs values
('embed-20261127T223833-c03780', 'embed', '2026-11-27 22:38:33.800428+00:00'::timestamptz, '2026-11-27 22:38:59.513054+00:00'::timestamptz, 'done', 4, 4, 0.0, '{"texts": 4, "tokens": 0, "embedding_model": "all-MiniLM-L6-v2"}', null),
('evaluate-20261127T223901-525103', 'evaluate', '2026-11-27 22:39:01.584414+00:00'::timestamptz, '2026-11-27 22:39:01.733894+00:00'::timestamptz, 'done', 2, 2, 0.0, '{"llmseqsim-20261127T223901-617b11": 1, "popularity-20261127T223901-f72a0e": 1, "live": "llmseqsim-20261127T223901-617b11"}', null),
('publish-20261127T223913-07297f', 'publish', '2026-11-27 22:39:13.363719+00:00'::timestamptz, '2026-11-27 22:39:14.520294+00:00'::timestamptz, 'done', 0, 72, 0.0, '{"file": "published.duckdb", "rows": {"model_leaderboard": 48, "popular_items": 4, "similar_items": 12, "visitor_recommendations": 4, "visitor_recommendations_wide": 4}}', null),
('recommend-20261127T223901-48cfb7', 'recommend', '2026-11-27 22:39:01.931417+00:00'::timestamptz, '2026-11-27 22:39:02.109435+00:00'::timestamptz, 'done', 4, 4, 0.0, '{"model_version": "llmseqsim-20261127T223901-617b11", "catalog": "all-MiniLM-L6-v2/384/4:17537932326035006274", "similar": 20, "lists": [20, false, "session", []], "batch_id": 1, "similar_items": 12}', null),
('train-20261127T223811-d20272', 'train', '2026-11-27 22:38:11.092958+00:00'::timestamptz, '2026-11-27 22:38:11.127626+00:00'::timestamptz, 'failed', 0, 0, 0.0, '{"fresh": [], "trained": []}', 'CatalogException: Catalog Error: Table with name "sessions.sequences" does not exist because schema "sessions" does not exist.

LINE 1: ... sequence_id, visitor_id, items, event_times, ended_at from sessions.sequences order by sequence_id
                                                                       ^'),
('train-20261127T223901-3670ce', 'train', '2026-11-27 22:39:01.060337+00:00'::timestamptz, '2026-11-27 22:39:01.326854+00:00'::timestamptz, 'done', 8, 2, 0.0, '{"fresh": [], "trained": ["popularity-20261127T223901-f72a0e", "llmseqsim-20261127T223901-617b11"]}', null);
CREATE TABLE ml.model_metrics(model_version VARCHAR, split VARCHAR, metric VARCHAR, k INTEGER, segment VARCHAR, "value" DOUBLE, n BIGINT NOT NULL, ci_low DOUBLE, ci_high DOUBLE, measured_at TIMESTAMP WITH TIME ZONE NOT NULL, PRIMARY KEY(model_version, split, metric, k, segment));
insert into ml.model_metrics values
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'coverage', 10, 'all', 0.75, 1, null, null, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'coverage', 20, 'all', 0.75, 1, null, null, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'hit_rate', 10, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'hit_rate', 20, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'mrr', 10, 'all', 0.5, 1, 0.5, 0.5, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'mrr', 20, 'all', 0.5, 1, 0.5, 0.5, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'ndcg', 10, 'all', 0.6309297535714575, 1, 0.6309297535714575, 0.6309297535714575, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'ndcg', 20, 'all', 0.6309297535714575, 1, 0.6309297535714575, 0.6309297535714575, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'novelty', 10, 'all', 1.9827111926134666, 1, 1.9827111926134666, 1.9827111926134666, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'novelty', 20, 'all', 1.9827111926134666, 1, 1.9827111926134666, 1.9827111926134666, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'serendipity', 10, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/test', 'serendipity', 20, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.673778+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'coverage', 10, 'all', 0.5, 1, null, null, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'coverage', 20, 'all', 0.5, 1, null, null, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'hit_rate', 10, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'hit_rate', 20, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'mrr', 10, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'mrr', 20, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'ndcg', 10, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'ndcg', 20, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'novelty', 10, 'all', 1.8774437510817346, 1, 1.8774437510817346, 1.8774437510817346, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'novelty', 20, 'all', 1.8774437510817346, 1, 1.8774437510817346, 1.8774437510817346, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'serendipity', 10, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('llmseqsim-20261127T223901-617b11', 'cutoff/validation', 'serendipity', 20, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.297705+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'coverage', 10, 'all', 0.75, 1, null, null, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'coverage', 20, 'all', 0.75, 1, null, null, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'hit_rate', 10, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'hit_rate', 20, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'mrr', 10, 'all', 0.5, 1, 0.5, 0.5, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'mrr', 20, 'all', 0.5, 1, 0.5, 0.5, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'ndcg', 10, 'all', 0.6309297535714575, 1, 0.6309297535714575, 0.6309297535714575, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'ndcg', 20, 'all', 0.6309297535714575, 1, 0.6309297535714575, 0.6309297535714575, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'novelty', 10, 'all', 1.9827111926134666, 1, 1.9827111926134666, 1.9827111926134666, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'novelty', 20, 'all', 1.9827111926134666, 1, 1.9827111926134666, 1.9827111926134666, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'serendipity', 10, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/test', 'serendipity', 20, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.692548+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'coverage', 10, 'all', 0.5, 1, null, null, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'coverage', 20, 'all', 0.5, 1, null, null, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'hit_rate', 10, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'hit_rate', 20, 'all', 1.0, 1, 1.0, 1.0, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'mrr', 10, 'all', 0.5, 1, 0.5, 0.5, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'mrr', 20, 'all', 0.5, 1, 0.5, 0.5, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'ndcg', 10, 'all', 0.6309297535714575, 1, 0.6309297535714575, 0.6309297535714575, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'ndcg', 20, 'all', 0.6309297535714575, 1, 0.6309297535714575, 0.6309297535714575, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'novelty', 10, 'all', 1.8774437510817346, 1, 1.8774437510817346, 1.8774437510817346, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'novelty', 20, 'all', 1.8774437510817346, 1, 1.8774437510817346, 1.8774437510817346, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'serendipity', 10, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.179738+00:00'::timestamptz),
('popularity-20261127T223901-f72a0e', 'cutoff/validation', 'serendipity', 20, 'all', 0.0, 1, 0.0, 0.0, '2026-11-27 22:39:01.179738+00:00'::timestamptz);
CREATE TABLE ml.models(model_version VARCHAR PRIMARY KEY, model VARCHAR NOT NULL, parameters JSON NOT NULL, fingerprint VARCHAR NOT NULL, data_cutoff_at TIMESTAMP WITH TIME ZONE, training_rows BIGINT NOT NULL, embedding_model VARCHAR, seed BIGINT NOT NULL, started_at TIMESTAMP WITH TIME ZONE NOT NULL, finished_at TIMESTAMP WITH TIME ZONE NOT NULL, status VARCHAR NOT NULL, weights BLOB, weights_sha256 VARCHAR, code_version VARCHAR NOT NULL);
insert into ml.models values
('llmseqsim-20261127T223901-617b11', 'llmseqsim', '{"decay": "squared_harmonic"}', '617b11a1a5fa5ef65170c9e0256c8f43aeff8367294dce9ef511cb6f31edf8d9', '2026-01-12 09:01:00+00:00'::timestamptz, 6, 'all-MiniLM-L6-v2', 0, '2026-11-27 22:39:01.245093+00:00'::timestamptz, '2026-11-27 22:39:01.266364+00:00'::timestamptz, 'live', unhex('90000000000000007b226974656d5f6964732e6c656e67746873223a7b226474797065223a22493332222c227368617065223a5b345d2c22646174615f6f666673657473223a5b302c31365d7d2c226974656d5f6964732e6279746573223a7b226474797065223a225538222c227368617065223a5b385d2c22646174615f6f666673657473223a5b31362c32345d7d7d20202020202020020000000200000002000000020000006930693169326933'), 'e53f38ee434cacaf45805bdaf31b8288af1864f433f6eb2cfaa02795804e3087', '0.1.0'),
('popularity-20261127T223901-f72a0e', 'popularity', '{}', 'f72a0ed3f0c571962126d75be885463aa916b51c816169c720d11c2dde12cc28', '2026-01-12 09:01:00+00:00'::timestamptz, 6, null, 0, '2026-11-27 22:39:01.135959+00:00'::timestamptz, '2026-11-27 22:39:01.154846+00:00'::timestamptz, 'candidate', unhex('c8000000000000007b22636f756e7473223a7b226474797065223a22463332222c227368617065223a5b345d2c22646174615f6f666673657473223a5b302c31365d7d2c226974656d5f6964732e6c656e67746873223a7b226474797065223a22493332222c227368617065223a5b345d2c22646174615f6f666673657473223a5b31362c33325d7d2c226974656d5f6964732e6279746573223a7b226474797065223a225538222c227368617065223a5b385d2c22646174615f6f666673657473223a5b33322c34305d7d7d2020200000804000008040000080400000c040020000000200000002000000020000006930693169326933'), '052236c9b846f21e8d9fc45e7a65df50dcec9293b0ff3e439756aa1e9ab36cf0', '0.1.0');
CREATE TABLE ml.recommendations(run_id VARCHAR NOT NULL, model_version VARCHAR NOT NULL, visitor_id VARCHAR NOT NULL, rank INTEGER NOT NULL, item_id VARCHAR NOT NULL, score DOUBLE NOT NULL, "source" VARCHAR NOT NULL, reason_item_id VARCHAR, generated_at TIMESTAMP WITH TIME ZONE NOT NULL);
insert into ml.recommendations values
('recommend-20261127T223901-48cfb7', 'llmseqsim-20261127T223901-617b11', 'v0', 1, 'i0', 0.6965816617012024, 'llmseqsim', 'i2', '2026-11-27 22:39:02.058398+00:00'::timestamptz),
('recommend-20261127T223901-48cfb7', 'llmseqsim-20261127T223901-617b11', 'v1', 1, 'i1', 0.7184765338897705, 'llmseqsim', 'i2', '2026-11-27 22:39:02.058398+00:00'::timestamptz),
('recommend-20261127T223901-48cfb7', 'llmseqsim-20261127T223901-617b11', 'v2', 1, 'i2', 0.8850502967834473, 'llmseqsim', 'i1', '2026-11-27 22:39:02.058398+00:00'::timestamptz),
('recommend-20261127T223901-48cfb7', 'llmseqsim-20261127T223901-617b11', 'v3', 1, 'i3', 0.7477911710739136, 'llmseqsim', 'i2', '2026-11-27 22:39:02.058398+00:00'::timestamptz);
CREATE TABLE ml.similar_items(run_id VARCHAR NOT NULL, embedding_model VARCHAR NOT NULL, item_id VARCHAR NOT NULL, rank INTEGER NOT NULL, similar_item_id VARCHAR NOT NULL, score DOUBLE NOT NULL);
insert into ml.similar_items values
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i0', 1, 'i2', 0.6821547150611877),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i0', 2, 'i1', 0.6519685387611389),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i0', 3, 'i3', 0.6476574540138245),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i1', 1, 'i2', 0.8588743209838867),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i1', 2, 'i0', 0.6519685387611389),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i1', 3, 'i3', 0.635940670967102),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i2', 1, 'i1', 0.8588743209838867),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i2', 2, 'i3', 0.7417833209037781),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i2', 3, 'i0', 0.6821547150611877),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i3', 1, 'i2', 0.7417833209037781),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i3', 2, 'i0', 0.6476574540138245),
('recommend-20261127T223901-48cfb7', 'all-MiniLM-L6-v2', 'i3', 3, 'i1', 0.635940670967102);
CREATE TABLE raw.events(event_id VARCHAR, visitor_id VARCHAR, user_id VARCHAR, item_id VARCHAR, event_type VARCHAR, event_at VARCHAR, source_session_id VARCHAR, loaded_at TIMESTAMP WITH TIME ZONE);
insert into raw.events values
('e0', 'v0', 'u0', 'i0', 'view', '2026-01-01T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e1', 'v0', 'u0', 'i1', 'view', '2026-01-01T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e10', 'v1', null, 'i1', 'view', '2026-01-02T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e11', 'v1', null, 'i2', 'view', '2026-01-02T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e12', 'v1', null, 'i3', 'view', '2026-01-02T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e13', 'v1', null, 'i2', 'view', '2026-01-10T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e14', 'v1', null, 'i3', 'view', '2026-01-10T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e15', 'v1', null, 'i0', 'view', '2026-01-10T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e2', 'v0', 'u0', 'i2', 'view', '2026-01-01T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e20', 'v2', null, 'i2', 'view', '2026-01-03T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e21', 'v2', null, 'i3', 'view', '2026-01-03T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e22', 'v2', null, 'i0', 'view', '2026-01-03T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e23', 'v2', null, 'i3', 'view', '2026-01-11T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e24', 'v2', null, 'i0', 'view', '2026-01-11T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e25', 'v2', null, 'i1', 'view', '2026-01-11T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e3', 'v0', 'u0', 'i1', 'view', '2026-01-09T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e30', 'v3', null, 'i3', 'view', '2026-01-04T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e31', 'v3', null, 'i0', 'view', '2026-01-04T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e32', 'v3', null, 'i1', 'view', '2026-01-04T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e33', 'v3', null, 'i0', 'view', '2026-01-12T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e34', 'v3', null, 'i1', 'view', '2026-01-12T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e35', 'v3', null, 'i2', 'view', '2026-01-12T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e4', 'v0', 'u0', 'i2', 'view', '2026-01-09T09:01:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e5', 'v0', 'u0', 'i3', 'view', '2026-01-09T09:02:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e90', 'v1', null, 'unknown', 'view', '2026-01-03T09:00:00Z', null, '2026-02-01 00:00:00+00:00'::timestamptz),
('e91', 'v1', null, 'i1', 'view', 'someday', null, '2026-02-01 00:00:00+00:00'::timestamptz);
CREATE TABLE raw.items(item_id VARCHAR, title VARCHAR, brand VARCHAR, category VARCHAR, description VARCHAR, price VARCHAR, available VARCHAR, updated_at VARCHAR, loaded_at TIMESTAMP WITH TIME ZONE);
insert into raw.items values
('i0', 'Red kettle', 'Alba', 'Kitchen', null, '9.90', 'true', '2026-01-01T00:00:00Z', '2026-02-01 00:00:00+00:00'::timestamptz),
('i1', 'Copper pan', 'Alba', 'Kitchen', null, '9.90', 'true', '2026-01-01T00:00:00Z', '2026-02-01 00:00:00+00:00'::timestamptz),
('i2', 'Steel pan', 'Alba', 'Kitchen', null, '9.90', 'true', '2026-01-01T00:00:00Z', '2026-02-01 00:00:00+00:00'::timestamptz),
('i3', 'Bread knife', 'Alba', 'Kitchen', null, '9.90', 'true', '2026-01-01T00:00:00Z', '2026-02-01 00:00:00+00:00'::timestamptz);
CREATE TABLE sessions.session_items(session_id VARCHAR, visitor_id VARCHAR, "position" INTEGER, item_id VARCHAR, event_at TIMESTAMP WITH TIME ZONE, event_type VARCHAR, event_id VARCHAR, first_event_id VARCHAR, batch_id INTEGER, assigned_batch_id INTEGER);
insert into sessions.session_items values
('5f2d423a3c834fd9b72f002d38140684', 'v0', 1, 'i1', '2026-01-09 09:00:00+00:00'::timestamptz, 'view', 'e3', 'e3', 1, 1),
('5f2d423a3c834fd9b72f002d38140684', 'v0', 2, 'i2', '2026-01-09 09:01:00+00:00'::timestamptz, 'view', 'e4', 'e3', 1, 1),
('5f2d423a3c834fd9b72f002d38140684', 'v0', 3, 'i3', '2026-01-09 09:02:00+00:00'::timestamptz, 'view', 'e5', 'e3', 1, 1),
('74df9f75871543a669e5a30f74ffd1cc', 'v3', 1, 'i0', '2026-01-12 09:00:00+00:00'::timestamptz, 'view', 'e33', 'e33', 1, 1),
('74df9f75871543a669e5a30f74ffd1cc', 'v3', 2, 'i1', '2026-01-12 09:01:00+00:00'::timestamptz, 'view', 'e34', 'e33', 1, 1),
('74df9f75871543a669e5a30f74ffd1cc', 'v3', 3, 'i2', '2026-01-12 09:02:00+00:00'::timestamptz, 'view', 'e35', 'e33', 1, 1),
('89cd515c539dbbaa8b44dc2138f37c79', 'v3', 1, 'i3', '2026-01-04 09:00:00+00:00'::timestamptz, 'view', 'e30', 'e30', 1, 1),
('89cd515c539dbbaa8b44dc2138f37c79', 'v3', 2, 'i0', '2026-01-04 09:01:00+00:00'::timestamptz, 'view', 'e31', 'e30', 1, 1),
('89cd515c539dbbaa8b44dc2138f37c79', 'v3', 3, 'i1', '2026-01-04 09:02:00+00:00'::timestamptz, 'view', 'e32', 'e30', 1, 1),
('8cbbdc094cb5b61a689799b882eb2074', 'v1', 1, 'i2', '2026-01-10 09:00:00+00:00'::timestamptz, 'view', 'e13', 'e13', 1, 1),
('8cbbdc094cb5b61a689799b882eb2074', 'v1', 2, 'i3', '2026-01-10 09:01:00+00:00'::timestamptz, 'view', 'e14', 'e13', 1, 1),
('8cbbdc094cb5b61a689799b882eb2074', 'v1', 3, 'i0', '2026-01-10 09:02:00+00:00'::timestamptz, 'view', 'e15', 'e13', 1, 1),
('ac9367dee4ea1b5c38f93718ecc8ac84', 'v2', 1, 'i3', '2026-01-11 09:00:00+00:00'::timestamptz, 'view', 'e23', 'e23', 1, 1),
('ac9367dee4ea1b5c38f93718ecc8ac84', 'v2', 2, 'i0', '2026-01-11 09:01:00+00:00'::timestamptz, 'view', 'e24', 'e23', 1, 1),
('ac9367dee4ea1b5c38f93718ecc8ac84', 'v2', 3, 'i1', '2026-01-11 09:02:00+00:00'::timestamptz, 'view', 'e25', 'e23', 1, 1),
('b5c441fb739d3b1fef66e0bb7b75fc25', 'v2', 1, 'i2', '2026-01-03 09:00:00+00:00'::timestamptz, 'view', 'e20', 'e20', 1, 1),
('b5c441fb739d3b1fef66e0bb7b75fc25', 'v2', 2, 'i3', '2026-01-03 09:01:00+00:00'::timestamptz, 'view', 'e21', 'e20', 1, 1),
('b5c441fb739d3b1fef66e0bb7b75fc25', 'v2', 3, 'i0', '2026-01-03 09:02:00+00:00'::timestamptz, 'view', 'e22', 'e20', 1, 1),
('cbd5b7f4d977751669fb4aa838b71693', 'v0', 1, 'i0', '2026-01-01 09:00:00+00:00'::timestamptz, 'view', 'e0', 'e0', 1, 1),
('cbd5b7f4d977751669fb4aa838b71693', 'v0', 2, 'i1', '2026-01-01 09:01:00+00:00'::timestamptz, 'view', 'e1', 'e0', 1, 1),
('cbd5b7f4d977751669fb4aa838b71693', 'v0', 3, 'i2', '2026-01-01 09:02:00+00:00'::timestamptz, 'view', 'e2', 'e0', 1, 1),
('d3b24b22d6401ef708cc451af9ba39c7', 'v1', 1, 'i1', '2026-01-02 09:00:00+00:00'::timestamptz, 'view', 'e10', 'e10', 1, 1),
('d3b24b22d6401ef708cc451af9ba39c7', 'v1', 2, 'i2', '2026-01-02 09:01:00+00:00'::timestamptz, 'view', 'e11', 'e10', 1, 1),
('d3b24b22d6401ef708cc451af9ba39c7', 'v1', 3, 'i3', '2026-01-02 09:02:00+00:00'::timestamptz, 'view', 'e12', 'e10', 1, 1);
CREATE TABLE sessions.sessions(session_id VARCHAR, visitor_id VARCHAR, first_event_id VARCHAR, started_at TIMESTAMP WITH TIME ZONE, ended_at TIMESTAMP WITH TIME ZONE, event_count BIGINT, item_count BIGINT, purchase_count BIGINT, assigned_batch_id INTEGER);
insert into sessions.sessions values
('5f2d423a3c834fd9b72f002d38140684', 'v0', 'e3', '2026-01-09 09:00:00+00:00'::timestamptz, '2026-01-09 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('74df9f75871543a669e5a30f74ffd1cc', 'v3', 'e33', '2026-01-12 09:00:00+00:00'::timestamptz, '2026-01-12 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('89cd515c539dbbaa8b44dc2138f37c79', 'v3', 'e30', '2026-01-04 09:00:00+00:00'::timestamptz, '2026-01-04 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('8cbbdc094cb5b61a689799b882eb2074', 'v1', 'e13', '2026-01-10 09:00:00+00:00'::timestamptz, '2026-01-10 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('ac9367dee4ea1b5c38f93718ecc8ac84', 'v2', 'e23', '2026-01-11 09:00:00+00:00'::timestamptz, '2026-01-11 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('b5c441fb739d3b1fef66e0bb7b75fc25', 'v2', 'e20', '2026-01-03 09:00:00+00:00'::timestamptz, '2026-01-03 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('cbd5b7f4d977751669fb4aa838b71693', 'v0', 'e0', '2026-01-01 09:00:00+00:00'::timestamptz, '2026-01-01 09:02:00+00:00'::timestamptz, 3, 3, 0, 1),
('d3b24b22d6401ef708cc451af9ba39c7', 'v1', 'e10', '2026-01-02 09:00:00+00:00'::timestamptz, '2026-01-02 09:02:00+00:00'::timestamptz, 3, 3, 0, 1);
CREATE TABLE staging.checked_events(event_id VARCHAR, visitor_id VARCHAR, user_id VARCHAR, item_id VARCHAR, event_type VARCHAR, event_at TIMESTAMP WITH TIME ZONE, source_session_id VARCHAR, loaded_at TIMESTAMP WITH TIME ZONE, reject_reason VARCHAR, raw_row JSON, event_at_text VARCHAR, row_key VARCHAR, batch_id INTEGER);
insert into staging.checked_events values
('e0', 'v0', 'u0', 'i0', 'view', '2026-01-01 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-01T09:00:00Z', 'e0', 1),
('e1', 'v0', 'u0', 'i1', 'view', '2026-01-01 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-01T09:01:00Z', 'e1', 1),
('e10', 'v1', null, 'i1', 'view', '2026-01-02 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-02T09:00:00Z', 'e10', 1),
('e11', 'v1', null, 'i2', 'view', '2026-01-02 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-02T09:01:00Z', 'e11', 1),
('e12', 'v1', null, 'i3', 'view', '2026-01-02 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-02T09:02:00Z', 'e12', 1),
('e13', 'v1', null, 'i2', 'view', '2026-01-10 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-10T09:00:00Z', 'e13', 1),
('e14', 'v1', null, 'i3', 'view', '2026-01-10 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-10T09:01:00Z', 'e14', 1),
('e15', 'v1', null, 'i0', 'view', '2026-01-10 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-10T09:02:00Z', 'e15', 1),
('e2', 'v0', 'u0', 'i2', 'view', '2026-01-01 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-01T09:02:00Z', 'e2', 1),
('e20', 'v2', null, 'i2', 'view', '2026-01-03 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-03T09:00:00Z', 'e20', 1),
('e21', 'v2', null, 'i3', 'view', '2026-01-03 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-03T09:01:00Z', 'e21', 1),
('e22', 'v2', null, 'i0', 'view', '2026-01-03 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-03T09:02:00Z', 'e22', 1),
('e23', 'v2', null, 'i3', 'view', '2026-01-11 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-11T09:00:00Z', 'e23', 1),
('e24', 'v2', null, 'i0', 'view', '2026-01-11 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-11T09:01:00Z', 'e24', 1),
('e25', 'v2', null, 'i1', 'view', '2026-01-11 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-11T09:02:00Z', 'e25', 1),
('e3', 'v0', 'u0', 'i1', 'view', '2026-01-09 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-09T09:00:00Z', 'e3', 1),
('e30', 'v3', null, 'i3', 'view', '2026-01-04 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-04T09:00:00Z', 'e30', 1),
('e31', 'v3', null, 'i0', 'view', '2026-01-04 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-04T09:01:00Z', 'e31', 1),
('e32', 'v3', null, 'i1', 'view', '2026-01-04 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-04T09:02:00Z', 'e32', 1),
('e33', 'v3', null, 'i0', 'view', '2026-01-12 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-12T09:00:00Z', 'e33', 1),
('e34', 'v3', null, 'i1', 'view', '2026-01-12 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-12T09:01:00Z', 'e34', 1),
('e35', 'v3', null, 'i2', 'view', '2026-01-12 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-12T09:02:00Z', 'e35', 1),
('e4', 'v0', 'u0', 'i2', 'view', '2026-01-09 09:01:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-09T09:01:00Z', 'e4', 1),
('e5', 'v0', 'u0', 'i3', 'view', '2026-01-09 09:02:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, null, null, '2026-01-09T09:02:00Z', 'e5', 1),
('e90', 'v1', null, 'unknown', 'view', '2026-01-03 09:00:00+00:00'::timestamptz, null, '2026-02-01 00:00:00+00:00'::timestamptz, 'unknown_item', '{"event_id":"e90","visitor_id":"v1","user_id":null,"item_id":"unknown","event_type":"view","event_at":"2026-01-03T09:00:00Z","source_session_id":null}', '2026-01-03T09:00:00Z', 'e90', null),
('e91', 'v1', null, 'i1', 'view', null, null, '2026-02-01 00:00:00+00:00'::timestamptz, 'unparsable_event_at', '{"event_id":"e91","visitor_id":"v1","user_id":null,"item_id":"i1","event_type":"view","event_at":"someday","source_session_id":null}', 'someday', 'rejected-e3a7ccb76922282a493831feeab5ec95', null);
CREATE TABLE staging.stg_items(item_id VARCHAR, title VARCHAR, brand VARCHAR, category VARCHAR, description VARCHAR, price DOUBLE, available BOOLEAN, updated_at TIMESTAMP WITH TIME ZONE, loaded_at TIMESTAMP WITH TIME ZONE);
insert into staging.stg_items values
('i0', 'Red kettle', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz, '2026-02-01 00:00:00+00:00'::timestamptz),
('i1', 'Copper pan', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz, '2026-02-01 00:00:00+00:00'::timestamptz),
('i2', 'Steel pan', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz, '2026-02-01 00:00:00+00:00'::timestamptz),
('i3', 'Bread knife', 'Alba', 'Kitchen', null, 9.9, True, '2026-01-01 00:00:00+00:00'::timestamptz, '2026-02-01 00:00:00+00:00'::timestamptz);
CREATE VIEW "catalog".item_embeddings AS SELECT texts.item_id, vectors.embedding_model, vectors.dimensions, vectors.text_hash, CAST(vectors.embedding AS FLOAT[384]) AS embedding, vectors.created_at AS embedded_at FROM warehouse."catalog".item_texts AS texts INNER JOIN warehouse.ml.embeddings AS vectors ON ((texts.text_hash = vectors.text_hash)) WHERE ((vectors.embedding_model = 'all-MiniLM-L6-v2') AND (vectors.dimensions = 384) AND (vectors.status = 'ok'));
CREATE VIEW sessions."sequences" AS WITH counted AS (SELECT session_id AS sequence_id, visitor_id, item_id, event_at, event_id FROM warehouse.sessions.session_items), steps AS (SELECT * FROM counted QUALIFY (item_id IS DISTINCT FROM lag(item_id) OVER (PARTITION BY sequence_id ORDER BY event_at, event_id)))SELECT sequence_id, visitor_id, list(item_id ORDER BY event_at, event_id) AS items, list(event_at ORDER BY event_at, event_id) AS event_times, max(event_at) AS ended_at, CAST(count_star() AS INTEGER) AS item_count FROM steps GROUP BY sequence_id, visitor_id;
CREATE VIEW staging.rejected_events AS SELECT event_id, reject_reason AS reason, raw_row, loaded_at FROM warehouse.staging.checked_events WHERE (reject_reason IS NOT NULL);
CREATE VIEW staging.stg_events AS SELECT event_id, visitor_id, user_id, item_id, event_type, event_at, source_session_id, loaded_at, batch_id FROM warehouse.staging.checked_events WHERE (reject_reason IS NULL);
