//! Which packages a machine asks for by name.

use std::collections::BTreeSet;

use cairn_machine::model::{Keyboard, Machine};

use super::error::Error;
use super::extras;

/// What every machine needs on top of Debian's essential packages: to boot (systemd, udev, kmod, the boot loader's
/// EFI program), to mend its root file system, to log somebody in (PAM with a session), to reach the network (DHCP is
/// systemd-networkd's, names are systemd-resolved's) and to know the time. Everything else is the machine file's.
const ALWAYS: [&str; 15] = [
    "dbus",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "login",
    "mount",
    "netbase",
    "passwd",
    "systemd",
    "systemd-boot-efi",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
];

/// The packages that a machine asks for by name: its own, its kernel, and what its settings need.
///
/// A time zone other than UTC needs `tzdata`, a language other than C.UTF-8 `locales`, a keyboard other than the plain
/// US one `console-setup` (Debian's systemd has no vconsole-setup). Essential packages are not named; they always come.
#[must_use]
pub fn requested(machine: &Machine) -> BTreeSet<String> {
    let source = &machine.source.debian;
    let mut names: BTreeSet<String> = ALWAYS.iter().map(ToString::to_string).collect();
    names.extend(source.packages.iter().cloned());
    names.insert(source.kernel.clone());
    if !matches!(machine.timezone.as_str(), "UTC" | "Etc/UTC") {
        names.insert("tzdata".into());
    }
    if !extras::locales(&machine.locale).is_empty() {
        names.insert("locales".into());
    }
    if machine.keyboard != Keyboard::default() {
        names.insert("console-setup".into());
    }
    names
}

/// Where a requested package stands in the machine file.
pub(super) fn pointer(machine: &Machine, name: &str) -> Option<String> {
    let source = &machine.source.debian;
    if let Some(i) = source.packages.iter().position(|p| p == name) {
        return Some(format!("/source/debian/packages/{i}"));
    }
    (source.kernel == name).then(|| "/source/debian/kernel".into())
}

/// Refuses what must not reach apt: options, patterns, other releases.
pub(super) fn check(machine: &Machine) -> Result<(), Error> {
    const PACKAGE: &str = "a package name (two or more of a-z 0-9 + - . beginning with a letter or digit)";
    const WORD: &str = "a name in Debian's archive (letters, digits, and any of . _ / -)";
    let source = &machine.source.debian;
    let bad = |pointer: String, value: &str, what| Error::BadValue { pointer, value: value.into(), what };
    for (i, name) in source.packages.iter().enumerate() {
        if !is_package_name(name) {
            return Err(bad(format!("/source/debian/packages/{i}"), name, PACKAGE));
        }
    }
    if !is_package_name(&source.kernel) {
        return Err(bad("/source/debian/kernel".into(), &source.kernel, PACKAGE));
    }
    if !is_archive_word(&source.suite) {
        return Err(bad("/source/debian/suite".into(), &source.suite, WORD));
    }
    for (i, component) in source.components.iter().enumerate() {
        if !is_archive_word(component) {
            return Err(bad(format!("/source/debian/components/{i}"), component, WORD));
        }
    }
    Ok(())
}

/// Debian policy, 5.6.1.
pub(super) fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c))
}

fn is_archive_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.bytes().all(|c| c.is_ascii_alphanumeric() || b"._/-".contains(&c))
}
