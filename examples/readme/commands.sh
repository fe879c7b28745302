# The commands that the README names; the tests try each with --help.
# [commands]
./dev demo    # 6,919 real purchases through two services, killed with kill -9 again and again
./dev test    # every test; the last line says how many passed
# [/commands]
