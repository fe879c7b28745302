# shellcheck shell=bash
if wants_help "$@"; then
    cat <<END
Usage: ./dev package

Makes from the release preset, in $build_root/packages: one tarball with everything, and the Debian packages txm (the
program) and libtxm-NAME-dev (one for each component of the library).
END
    exit 0
fi

need "${build_packages[@]}" dpkg-dev file
configure release
compile release
rm -rf "$build_root/packages"
for generator in TGZ DEB; do
    phase "packing $generator" "$build_root/logs/package-$generator.log" \
        cpack --config "$build_root/release/CPackConfig.cmake" -G $generator -B "$build_root/packages"
done
rm -rf "$build_root/packages/_CPack_Packages"
ls -l "$build_root/packages"
