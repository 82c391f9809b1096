//! Which packages a machine asks for by name.

use std::collections::BTreeSet;

use cairn_machine::lock::Lock;
use cairn_machine::model::{Keyboard, Loader, Machine};

use super::error::Error;
use crate::locales;

/// What every machine needs on top of Debian's essential packages: to boot (systemd, udev, kmod), to mend its root file system, to log somebody in (PAM with a session), to reach the network (DHCP is
/// systemd-networkd's, names are systemd-resolved's) and to know the time. Everything else is the machine file's.
const ALWAYS: [&str; 14] = [
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
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
];

/// Of these, what gives way to a package of the machine's own that does the same and conflicts with it (chrony, ntpsec, openntpd;
/// resolvconf, openresolv): the name, and the virtual package that both provide.
const GIVES_WAY: [(&str, &str); 2] = [("systemd-resolved", "resolvconf"), ("systemd-timesyncd", "time-daemon")];

/// systemd-boot's EFI program.
const SYSTEMD_BOOT: &str = "systemd-boot-efi";
/// GRUB's tools: `grub-mkimage` and its like. None of GRUB's packages that are asked for here installs a boot loader when
/// it is configured, and none brings `grub-install`.
const GRUB: &str = "grub-common";
/// GRUB's modules for BIOS, with its boot sector.
const GRUB_BIOS: &str = "grub-pc-bin";
/// GRUB's modules for UEFI.
const GRUB_UEFI: &str = "grub-efi-amd64-bin";
/// Debian's signed programs: shim, and either loader as shim starts it.
const SHIM: &str = "shim-signed";
const SIGNED_SYSTEMD_BOOT: &str = "systemd-boot-efi-amd64-signed";
const SIGNED_GRUB: &str = "grub-efi-amd64-signed";
/// What draws keys for Secure Boot, and what signs by them. The stub of the images that are signed is systemd-boot's package's.
const KEYS: [&str; 2] = ["openssl", "sbsigntool"];
/// A test of the memory, for BIOS and UEFI.
const MEMTEST: &str = "memtest86+";

/// What joins wireless networks, and what says on which channels that may be done where.
const WIFI: [&str; 2] = ["wireless-regdb", "wpasupplicant"];

/// What filters packets.
const FIREWALL: &str = "nftables";

/// The packages of the machine's boot loader, for the firmware that its disk boots under.
fn boot_loader(machine: &Machine) -> impl Iterator<Item = &'static str> {
    let loader = machine.boot.loader;
    let firmware = machine.firmware();
    let grub = loader == Loader::Grub;
    let shim = firmware.uefi && machine.boot.by_shim();
    let own_keys = firmware.uefi && machine.boot.by_own_keys();
    let [draws, signs] = KEYS;
    [
        (SYSTEMD_BOOT, !grub && !shim),
        (SIGNED_SYSTEMD_BOOT, !grub && shim),
        (GRUB, grub),
        (GRUB_BIOS, grub && firmware.bios),
        (GRUB_UEFI, grub && firmware.uefi && !shim),
        (SIGNED_GRUB, grub && shim),
        (SHIM, shim),
        (draws, own_keys),
        (signs, own_keys),
        (MEMTEST, machine.boot.memtest),
    ]
    .into_iter()
    .filter_map(|(name, needed)| needed.then_some(name))
}

/// The packages that a machine asks for by name: its own, its kernel, its boot loader, and what its settings need.
///
/// A time zone other than UTC needs `tzdata`, a language other than C.UTF-8 `locales`, a keyboard other than the plain
/// US one `console-setup` (Debian's systemd has no vconsole-setup), a wireless network `wpasupplicant`, a firewall `nftables`. Essential packages are not named; they always come.
#[must_use]
pub fn requested(machine: &Machine) -> BTreeSet<String> {
    let source = machine.source.debian();
    let mut names: BTreeSet<String> = ALWAYS.iter().map(ToString::to_string).collect();
    names.extend(source.packages.iter().cloned());
    names.insert(source.kernel.clone());
    names.extend(boot_loader(machine).map(str::to_owned));
    if !matches!(machine.timezone.as_str(), "UTC" | "Etc/UTC") {
        names.insert("tzdata".into());
    }
    if !locales::named(&machine.locale).is_empty() {
        names.insert("locales".into());
    }
    if machine.keyboard != Keyboard::default() {
        names.insert("console-setup".into());
    }
    if !machine.network.wifi.is_empty() {
        names.extend(WIFI.map(str::to_owned));
    }
    if machine.network.firewall.is_some() {
        names.insert(FIREWALL.into());
    }
    names
}

/// Those of the requested packages that have to be there, and a dependency (deb-control(5)) on the rest or what is there in their place.
pub(super) fn for_apt<'a>(machine: &Machine, requested: &'a BTreeSet<String>) -> (Vec<&'a str>, String) {
    let own = &machine.source.debian().packages;
    let gives_way: Vec<_> = GIVES_WAY.iter().filter(|(name, _)| !own.iter().any(|own| own == name)).collect();
    let needed = requested.iter().map(String::as_str).filter(|name| !gives_way.iter().any(|(other, _)| name == other));
    let either: Vec<String> = gives_way.iter().map(|(name, role)| format!("{name} | {role}")).collect();
    (needed.collect(), either.join(", "))
}

/// Where a requested package stands in the machine file.
pub(super) fn pointer(machine: &Machine, name: &str) -> Option<String> {
    let source = machine.source.debian();
    if let Some(i) = source.packages.iter().position(|p| p == name) {
        return Some(format!("/source/debian/packages/{i}"));
    }
    if source.kernel == name {
        return Some("/source/debian/kernel".into());
    }
    if WIFI.contains(&name) && !machine.network.wifi.is_empty() {
        return Some("/network/wifi".into());
    }
    if name == FIREWALL && machine.network.firewall.is_some() {
        return Some("/network/firewall".into());
    }
    let key = match name {
        MEMTEST => "memtest",
        SHIM | SIGNED_SYSTEMD_BOOT | SIGNED_GRUB => "secure_boot",
        _ if KEYS.contains(&name) => "secure_boot",
        _ => "loader",
    };
    boot_loader(machine).any(|other| other == name).then(|| format!("/boot/{key}"))
}

/// Refuses a lock with two kernels, which a base cannot hold, before all of its packages are installed.
pub(super) fn check_kernels(machine: &Machine, lock: &Lock) -> Result<(), Error> {
    // Debian's packages with a kernel in them have its release in their name; those without a digit there depend on one.
    let is_kernel = |name: &str| {
        name.strip_prefix("linux-image-")
            .is_some_and(|release| release.starts_with(|c: char| c.is_ascii_digit()) && !release.ends_with("-dbg"))
    };
    let mut kernels = lock.debian().packages.iter().map(|p| &p.name).filter(|name| is_kernel(name));
    let (Some(first), Some(second)) = (kernels.next(), kernels.next()) else { return Ok(()) };
    let packages = &machine.source.debian().packages;
    let pointer = packages.iter().find(|name| name.starts_with("linux-image-")).and_then(|name| pointer(machine, name));
    Err(Error::TwoKernels { first: first.clone(), second: second.clone(), pointer })
}

/// Refuses what must not reach apt: options, patterns, other releases.
pub(super) fn check(machine: &Machine) -> Result<(), Error> {
    const PACKAGE: &str = "a package name (two or more of a-z 0-9 + - . beginning with a letter or digit)";
    const WORD: &str = "a name in Debian's archive (letters, digits, and any of . _ / -)";
    let source = machine.source.debian();
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

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_machine::model::{SecureBoot, Wifi};

    fn machine(change: impl FnOnce(&mut Machine)) -> Machine {
        let json = r#"{"version":1,"hostname":"m","source":{"debian":{"packages":["sudo"]}},"disks":{}}"#;
        let mut machine = serde_json::from_str(json).unwrap();
        change(&mut machine);
        machine
    }

    #[test]
    fn settings_ask_for_the_packages_that_they_need() {
        let plain = requested(&machine(|_| ()));
        for name in ["sudo", "systemd", "linux-image-cloud-amd64"] {
            assert!(plain.contains(name), "{name}");
        }
        let more = requested(&machine(|m| {
            m.timezone = "Europe/Berlin".into();
            m.locale.lang = "de_DE.UTF-8".into();
            m.keyboard.layout = "de".into();
        }));
        assert_eq!(more.difference(&plain).collect::<Vec<_>>(), ["console-setup", "locales", "tzdata"]);
        assert_eq!(requested(&machine(|m| m.timezone = "Etc/UTC".into())), plain);
        let wireless = machine(|m| drop(m.network.wifi.insert("home".into(), Wifi::default())));
        assert_eq!(requested(&wireless).difference(&plain).collect::<Vec<_>>(), ["wireless-regdb", "wpasupplicant"]);
        assert_eq!(pointer(&wireless, "wpasupplicant").as_deref(), Some("/network/wifi"));
    }

    #[test]
    fn what_always_comes_gives_way_unless_it_is_asked_for() {
        let of = |packages: &[&str]| {
            let machine =
                machine(|m| m.source.debian_mut().packages = packages.iter().map(ToString::to_string).collect());
            let all = requested(&machine);
            let (needed, either) = for_apt(&machine, &all);
            (all.len() - needed.len(), either)
        };
        let (less, either) = of(&["chrony"]);
        assert_eq!((less, &*either), (2, "systemd-resolved | resolvconf, systemd-timesyncd | time-daemon"));
        assert_eq!(of(&["systemd-timesyncd"]), (1, "systemd-resolved | resolvconf".into()));
        assert_eq!(of(&["systemd-timesyncd", "systemd-resolved"]), (0, String::new()));
    }

    #[test]
    fn a_boot_loader_brings_what_the_firmware_needs_and_no_other() {
        let of = |layout: &str, loader: &str| {
            let more = |m: &mut Machine| {
                m.disks.insert("main".into(), serde_json::from_value(serde_json::json!({ "layout": layout })).unwrap());
                m.boot.loader = serde_json::from_value(loader.into()).unwrap();
            };
            let all = requested(&machine(more));
            ["grub-common", "grub-efi-amd64-bin", "grub-pc-bin", "systemd-boot-efi"].map(|name| all.contains(name))
        };
        assert_eq!(of("uefi", "systemd-boot"), [false, false, false, true]);
        assert_eq!(of("uefi", "grub"), [true, true, false, false]);
        assert_eq!(of("bios", "grub"), [true, false, true, false]);
        assert_eq!(of("mbr", "grub"), [true, false, true, false]);
        assert_eq!(of("hybrid", "grub"), [true, true, true, false]);
        let signed = |layout: &str, loader: &str| {
            let all = requested(&machine(|m: &mut Machine| {
                m.disks.insert("main".into(), serde_json::from_value(serde_json::json!({ "layout": layout })).unwrap());
                m.boot.loader = serde_json::from_value(loader.into()).unwrap();
                m.boot.secure_boot = Some(SecureBoot::SHIM);
            }));
            let names =
                ["systemd-boot-efi", "grub-efi-amd64-bin", "grub-pc-bin", SHIM, SIGNED_SYSTEMD_BOOT, SIGNED_GRUB];
            names.into_iter().filter(|name| all.contains(*name)).collect::<Vec<_>>()
        };
        assert_eq!(signed("uefi", "systemd-boot"), [SHIM, SIGNED_SYSTEMD_BOOT]);
        assert_eq!(signed("uefi", "grub"), [SHIM, SIGNED_GRUB]);
        assert_eq!(signed("hybrid", "grub"), ["grub-pc-bin", SHIM, SIGNED_GRUB]);
        assert_eq!(signed("bios", "grub"), ["grub-pc-bin"]);
        let own = |layout: &str| {
            let all = requested(&machine(|m: &mut Machine| {
                m.disks.insert("main".into(), serde_json::from_value(serde_json::json!({ "layout": layout })).unwrap());
                m.boot.secure_boot = Some(SecureBoot::OWN_KEYS);
            }));
            let names = ["openssl", "sbsigntool", "systemd-boot-efi", SHIM, SIGNED_SYSTEMD_BOOT];
            names.into_iter().filter(|name| all.contains(*name)).collect::<Vec<_>>()
        };
        assert_eq!(own("uefi"), ["openssl", "sbsigntool", "systemd-boot-efi"]);
        let keys = machine(|m| {
            m.disks.insert("main".into(), serde_json::from_value(serde_json::json!({ "layout": "uefi" })).unwrap());
            m.boot.secure_boot = Some(SecureBoot::OWN_KEYS);
        });
        assert_eq!(pointer(&keys, "sbsigntool").as_deref(), Some("/boot/secure_boot"));
        let memtest = machine(|m| m.boot.memtest = true);
        assert!(requested(&memtest).contains("memtest86+"));
        assert_eq!(pointer(&memtest, "memtest86+").as_deref(), Some("/boot/memtest"));
        assert_eq!(pointer(&memtest, "systemd-boot-efi").as_deref(), Some("/boot/loader"));
        assert_eq!(pointer(&memtest, "grub-pc-bin"), None);
    }

    #[test]
    fn a_package_has_its_place_in_the_file() {
        let m = machine(|_| ());
        assert_eq!(pointer(&m, "sudo").as_deref(), Some("/source/debian/packages/0"));
        assert_eq!(pointer(&m, "linux-image-cloud-amd64").as_deref(), Some("/source/debian/kernel"));
        assert_eq!(pointer(&m, "systemd"), None);
    }

    #[test]
    fn what_apt_would_take_for_something_else_is_refused() {
        for name in ["-oDir=/", "sudo=1.9", "sudo/sid", "?essential", "sudo:i386", "Sudo", "", "x"] {
            let error = check(&machine(|m| m.source.debian_mut().packages.push(name.into()))).unwrap_err();
            assert_eq!(error.pointer(), Some("/source/debian/packages/1"), "{name}");
        }
        for name in ["g++", "libstdc++6", "python3.13", "0ad"] {
            check(&machine(|m| m.source.debian_mut().packages.push(name.into()))).unwrap();
        }
        assert!(check(&machine(|m| m.source.debian_mut().suite = "trixie main\ndeb x".into())).is_err());
    }

    #[test]
    fn a_lock_with_two_kernels_is_refused_where_the_second_is_asked_for() {
        let lock = |names: &[&str]| {
            let package = |name: &&str| {
                serde_json::json!({ "name": name, "version": "1", "architecture": "amd64",
                "filename": "x", "size": 1, "sha256": "0" })
            };
            let packages: Vec<_> = names.iter().map(package).collect();
            let debian = serde_json::json!({ "suite": "trixie", "components": [], "architecture": "amd64",
                "requested": [], "date": 0, "packages": packages });
            serde_json::from_value::<Lock>(serde_json::json!({ "version": 1, "debian": debian })).unwrap()
        };
        let m = machine(|m| m.source.debian_mut().packages.push("linux-image-amd64".into()));
        let one = ["linux-image-6.12.1-cloud-amd64", "linux-image-6.12.1-amd64-dbg", "linux-image-cloud-amd64"];
        check_kernels(&m, &lock(&one)).unwrap();
        let error = check_kernels(&m, &lock(&[&one[..], &["linux-image-6.12.1-amd64"]].concat())).unwrap_err();
        assert_eq!(error.pointer(), Some("/source/debian/packages/1"));
        let told = error.to_string();
        assert!(
            told.starts_with("two kernels, linux-image-6.12.1-cloud-amd64 and linux-image-6.12.1-amd64: "),
            "{told}"
        );
    }
}
