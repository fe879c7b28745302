-- An order and its message in one transaction: three columns are enough.
-- [insert]
begin immediate;
insert into orders values (3, 2933);
insert into outbox (topic, aggregate_id, payload)
values ('orders', '3', json_object('id', 3, 'cents', 2933));
commit;
-- [/insert]
