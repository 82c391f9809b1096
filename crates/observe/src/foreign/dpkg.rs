//! Packages of a system that is made of Debian's: those that somebody asked for, and what they come with.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::{SecureBoot, SignedBy};

use super::seen::Seen;
use super::{Carried, Kind, System};

/// Releases that a machine can be made of; others become the first.
const SUITES: [&str; 3] = ["trixie", "forky", "sid"];
/// What every machine has by itself, or in the place of what another one has.
const BY_ITSELF: [&str; 27] = [
    "adduser",
    "apt",
    "apt-utils",
    "dbus",
    "debconf",
    "debian-archive-keyring",
    "dhcpcd-base",
    "e2fsprogs",
    "grub2-common",
    "ifupdown",
    "init",
    "initramfs-tools",
    "iproute2",
    "isc-dhcp-client",
    "isc-dhcp-common",
    "kmod",
    "login",
    "mount",
    "netbase",
    "netplan.io",
    "network-manager",
    "os-prober",
    "passwd",
    "systemd",
    "systemd-sysv",
    "udev",
    "libpam-systemd",
];
/// Beginnings of names of what has another key, or belongs to a boot.
const OTHER_KEYS: [&str; 10] = [
    "linux-image-",
    "linux-headers-",
    "linux-modules-",
    "linux-generic",
    "linux-base",
    "grub-",
    "shim-",
    "systemd-boot",
    "mokutil",
    "systemd-resolved",
];
/// How many names a line of the list has.
const IN_A_LINE: usize = 40;

/// A stanza of dpkg's book.
#[derive(Debug, Default)]
struct Package<'s> {
    fields: BTreeMap<&'s str, &'s str>,
}

impl<'s> Package<'s> {
    fn get(&self, key: &str) -> &'s str {
        self.fields.get(key).copied().unwrap_or_default()
    }

    fn name(&self) -> &'s str {
        self.get("Package")
    }

    fn installed(&self) -> bool {
        self.get("Status").ends_with(" installed")
    }
}

/// Stanzas: fields with their first line, which is all of those that are looked at.
fn stanzas(text: &str) -> impl Iterator<Item = Package<'_>> {
    text.split("\n\n").map(|stanza| {
        let fields =
            stanza.lines().filter(|line| !line.starts_with([' ', '\t'])).filter_map(|line| line.split_once(':'));
        Package { fields: fields.map(|(key, value)| (key, value.trim())).collect() }
    })
}

/// Carries them over.
pub fn carry(seen: &Seen, system: &System, to: &mut Carried) {
    let suite = suite(system, to);
    let status = seen.text("/var/lib/dpkg/status").unwrap_or_default();
    if let Some(why) = seen.unread.get("/var/lib/dpkg/status") {
        to.left("packages", format!("/var/lib/dpkg/status: {why}"));
    }
    let installed: BTreeMap<&str, Package<'_>> =
        stanzas(status).filter(Package::installed).map(|one| (one.name(), one)).collect();
    let automatic: BTreeSet<&str> = stanzas(seen.text("/var/lib/apt/extended_states").unwrap_or_default())
        .filter(|one| one.get("Auto-Installed") == "1")
        .map(|one| one.name())
        .collect();
    kernel(&installed, to);
    let (mut strangers, mut libraries, mut other_release) = (Vec::new(), Vec::new(), Vec::new());
    let mut components = BTreeSet::new();
    for package in installed.values().filter(|one| !automatic.contains(one.name())) {
        let (name, section) = (package.name(), package.get("Section"));
        if by_itself(package) {
            continue;
        }
        if !of_debian(package, seen, system) {
            strangers.push(name);
        } else if section.rsplit('/').next().is_some_and(|section| matches!(section, "libs" | "oldlibs")) {
            libraries.push(name);
        } else if !suite && has_version(name) {
            other_release.push(name);
        } else {
            components.extend(section.split_once('/').map(|(component, _)| component));
            to.package(name);
        }
    }
    let known = |one: &&str| matches!(*one, "contrib" | "non-free" | "non-free-firmware");
    to.machine.source.debian_mut().components.extend(components.into_iter().filter(known).map(str::to_string));
    names(to, strangers, "which are not in Debian's archive");
    names(to, libraries, "libraries, which come with what needs them");
    names(to, other_release, "whose names are of another release: look which name they have in this one");
    sources(seen, to);
}

/// Says which packages are not asked for.
fn names(to: &mut Carried, mut names: Vec<&str>, why: &str) {
    names.sort_unstable();
    for some in names.chunks(IN_A_LINE) {
        to.left("packages", format!("{}: {why}", some.join(", ")));
    }
}

/// Takes the release where a machine can be made of it; says whether it is the same.
fn suite(system: &System, to: &mut Carried) -> bool {
    let same = system.kind == Kind::Debian && SUITES.contains(&system.codename.as_str());
    if same {
        to.machine.source.debian_mut().suite.clone_from(&system.codename);
    } else {
        let is = &to.machine.source.debian().suite;
        let what = format!(
            "the system is {}, and the machine is made of Debian {is}: the same packages in other versions, some under another name (`cairn lock` says which are not there)",
            system.name
        );
        to.left("packages", what);
    }
    same
}

fn kernel(installed: &BTreeMap<&str, Package<'_>>, to: &mut Carried) {
    let kernels = ["linux-image-amd64", "linux-image-cloud-amd64", "linux-image-rt-amd64"];
    if let Some(kernel) = kernels.into_iter().find(|name| installed.contains_key(name)) {
        to.machine.source.debian_mut().kernel = kernel.into();
    }
    if installed.contains_key("shim-signed") {
        to.machine.boot.secure_boot = Some(SecureBoot::By(SignedBy::Shim));
    }
}

fn by_itself(package: &Package<'_>) -> bool {
    let name = package.name();
    package.get("Essential") == "yes"
        || package.get("Priority") == "required"
        || BY_ITSELF.contains(&name)
        || OTHER_KEYS.iter().any(|begin| name.starts_with(begin))
}

/// Whether a package is Debian's: in its lists where there are lists, and by what it says of who looks after it elsewhere.
fn of_debian(package: &Package<'_>, seen: &Seen, system: &System) -> bool {
    if system.kind == Kind::Debian {
        return seen.archive.as_ref().is_none_or(|archive| archive.contains(package.name()));
    }
    let from = [package.get("Maintainer"), package.get("Original-Maintainer")];
    from.iter().any(|who| who.contains("debian.org") || who.contains("Debian"))
}

/// Whether a name has a version in it, which the next release has not: `python3.11`, `php8.2-fpm`, `gcc-12`.
fn has_version(name: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    name.split(['-', '+']).any(|part| {
        let number = part.trim_start_matches(|c: char| !digit(c));
        number.contains('.') && number.chars().all(|c| digit(c) || c == '.')
            || part.len() > 1 && part.chars().all(digit)
    })
}

/// Where packages came from besides: not what a password opens.
fn sources(seen: &Seen, to: &mut Carried) {
    let files = [("/etc/apt/sources.list.d", ".list"), ("/etc/apt/sources.list.d", ".sources")];
    let main = seen.text("/etc/apt/sources.list").into_iter();
    let others = files.into_iter().flat_map(|(folder, ending)| seen.texts_in(folder, ending)).map(|(_, text)| text);
    let mut found = BTreeSet::new();
    for text in main.chain(others) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let words = line.strip_prefix("deb ").or_else(|| line.strip_prefix("URIs:")).unwrap_or_default();
            found.extend(words.split_ascii_whitespace().filter(|word| word.contains("://")).map(without_password));
        }
    }
    for one in found.into_iter().take(IN_A_LINE) {
        to.left(
            "package sources",
            format!("{one}: a machine has one mirror, `source.debian.mirror`, or else the usual one"),
        );
    }
}

fn without_password(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_in_a_name_is_seen() {
        for name in ["python3.11", "php8.2-fpm", "gcc-12", "postgresql-15", "linux-perf-6.1"] {
            assert!(has_version(name), "{name}");
        }
        for name in ["python3", "nginx-light", "libx264-tools", "k3b", "7zip", "fuse3", "git", "x11-apps"] {
            assert!(!has_version(name), "{name}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_nobodys_business() {
        assert_eq!(without_password("https://me:secret@host.example/debian"), "https://host.example/debian");
        assert_eq!(without_password("http://host.example"), "http://host.example/");
    }
}
