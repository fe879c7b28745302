-- An order and its message in one transaction: three columns are enough.
-- [insert]
begin immediate;
insert into orders values (1, 2933);
insert into outbox (topic, aggregate_id, payload)
values ('orders', '1', json_object('id', 1, 'cents', 2933));
commit;
-- [/insert]
