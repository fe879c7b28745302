#!/bin/bash
# The commands of docs/getting-started.md on DynamoDB, SNS and SQS, run by the tests in an empty folder with txm and the
# examples on the PATH. DYNAMODB and SNS are the endpoints of the servers.
set -euo pipefail

# [dynamodb]
export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
export TXM_STORE="dynamodb://us-east-1/outbox?inbox=inbox&endpoint=$DYNAMODB"
export TXM_BROKER="sns://us-east-1/shop-?fifo=true&endpoint=$SNS"

# The tables outbox, outbox-txm and inbox; the topic, and the queue of a consumer.
txm migrate --topic orders --consumer bookkeeping

echo '{"topic":"orders","aggregate_id":"1","payload":{"id":1,"cents":2933}}' | txm publish
txm relay --drain
txm consume --topic orders --consumer bookkeeping --exec 'echo "$(cat)" >>booked' --drain

txm messages list
txm status
# [/dynamodb]

grep -qxF '{"id":1,"cents":2933}' booked

# The table of your own that shop_dynamodb writes to.
# [table]
curl -sS --fail-with-body "$DYNAMODB/" --aws-sigv4 "aws:amz:$AWS_REGION:dynamodb" \
    --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    -H 'Content-Type: application/x-amz-json-1.0' -H 'X-Amz-Target: DynamoDB_20120810.CreateTable' \
    -d '{"TableName":"orders","BillingMode":"PAY_PER_REQUEST",
         "AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"S"}],
         "KeySchema":[{"AttributeName":"PK","KeyType":"HASH"}]}'
shop_dynamodb "$DYNAMODB"
# [/table]

# What it published goes the same way.
[ "$(txm messages list --state pending --format json | wc -l)" -eq 1 ]
txm relay --drain
[ "$(txm messages list --state dispatched --format json | wc -l)" -eq 2 ]
