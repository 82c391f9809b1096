//! Stanzas of `Field: value` lines (deb822), and the one of the package that stands in for a maker of initrds.

/// The stanzas of a deb822 text: what stands between empty lines.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(|s| s.trim_matches('\n')).filter(|s| !s.is_empty())
}

/// The first line of a field.
pub(super) fn field<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    stanza.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A package of our own without files. Debian's kernel depends on a program that makes an initrd; Cairn makes it
/// itself, from outside. With this stand-in, initramfs-tools and its eight helpers stay out of the machine, and no
/// initrd is made only to be thrown away.
pub(super) const INITRD: &str = STAND_IN.0;

/// The name and version of that package: what dpkg lists in every machine besides the lock's packages.
pub const STAND_IN: (&str, &str) = ("cairn-initrd", "1");

/// The stand-in's control data, without the fields that say where its file is.
pub(super) fn initrd_stanza() -> String {
    format!(
        "Package: {INITRD}\nVersion: {}\nArchitecture: all\nMaintainer: Cairn <cairn@localhost>\n\
         Provides: linux-initramfs-tool\nSection: kernel\nPriority: optional\n\
         Description: the initrd is made by Cairn\n \
         Stands in for a program that makes an initrd on the machine itself.\n",
        STAND_IN.1
    )
}
