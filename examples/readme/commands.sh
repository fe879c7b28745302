# The commands that the README names; the tests try each with --help.
# [commands]
./dev demo    # 6,919 real purchases through two services, under kill -9; 3 to 4 minutes the first time
./dev demo --store dynamodb   # the same on DynamoDB, SNS and SQS, with local servers that it fetches; 4 minutes more
./dev test    # every test; about 35 minutes on two cores the first time; the last line says how many passed
# [/commands]
