# shellcheck shell=bash
if wants_help "$@"; then
    cat <<END
Usage: ./dev package

Makes from the release preset, in $build_root/packages: one tarball with everything, the Debian packages txm (the
program) and libtxm-NAME-dev (one for each component of the library), and a zip for AWS Lambda (docs/lambda.md).
END
    exit 0
fi

need "${build_packages[@]}" dpkg-dev file binutils
configure release
compile release
rm -rf "$build_root/packages"
for generator in TGZ DEB; do
    phase "packing $generator" "$build_root/logs/package-$generator.log" \
        cpack --config "$build_root/release/CPackConfig.cmake" -G $generator -B "$build_root/packages"
done
rm -rf "$build_root/packages/_CPack_Packages"
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build_root/release/CMakeCache.txt")
phase "packing for Lambda" "$build_root/logs/package-lambda.log" \
    tools/dev/lambda-zip "$build_root/release/bin/txm" "$build_root/packages/txm-lambda-$version-$(uname -m).zip"
ls -l "$build_root/packages"
