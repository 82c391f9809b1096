//! Where a misplaced key belongs, and what people of other tools probably meant.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::resolve;
use crate::tree::{Node, Value};

/// Words of NixOS, cloud-init and others for what the machine file says in its own way.
const SYNONYMS: &[(&str, &str)] = &[
    ("authorized_keys", "`ssh_authorized_keys`"),
    ("authorizedKeys", "`ssh_authorized_keys`"),
    ("bonds", "an interface with `bond` in `interfaces`"),
    ("bootloader", "`boot`"),
    ("bridges", "an interface with `bridge` in `interfaces`"),
    ("crontab", "`services.timers`"),
    ("environment", "`files` for files under /etc"),
    ("extraGroups", "`groups`"),
    ("filesystems", "`disks`"),
    ("fileSystems", "`disks`"),
    ("ethernets", "`interfaces`"),
    ("fqdn", "`hostname`"),
    ("gateway4", "`gateways`"),
    ("gateway6", "`gateways`"),
    ("grub", "`boot: {loader: grub}`"),
    ("gecos", "`description`"),
    ("hashedPasswordFile", "`hashed_password_file`"),
    ("i18n", "`locale`"),
    (
        "initialPassword",
        "`hashed_password_file`: the hash lives in a file of its own, so that no secret enters the store",
    ),
    ("isSystemUser", "`system`"),
    ("name", "the name as the key: `NAME:` and its settings indented below it"),
    ("networking", "`network`"),
    ("passwd", "`hashed_password_file`: the hash lives in a file of its own, so that no secret enters the store"),
    ("password", "`hashed_password_file`: the hash lives in a file of its own, so that no secret enters the store"),
    (
        "hashed_password",
        "`hashed_password_file`: the hash lives in a file of its own, so that no secret enters the store",
    ),
    (
        "hashed_passwd",
        "`hashed_password_file`: the hash lives in a file of its own, so that no secret enters the store",
    ),
    ("openssh", "`services: {enable: [ssh]}` and the package openssh-server"),
    ("ssh_keys", "`ssh_authorized_keys`"),
    ("sudo", "`groups: [sudo]` and the package sudo"),
    ("systemd-boot", "`boot: {loader: systemd-boot}`"),
    ("systemd", "`services`"),
    ("swapDevices", "`swap: {file: 2G}`, or a partition with `type: swap`"),
    ("tunnels", "an interface with `wireguard` in `interfaces`"),
    ("vlans", "an interface with `vlan` in `interfaces`"),
    ("write_files", "`files`"),
    ("zramSwap", "`swap: {zram: {}}`"),
];

/// Words of NixOS and others for what stands under `boot`.
const BOOT_SYNONYMS: &[(&str, &str)] = &[
    ("append", "`kernel_parameters`"),
    ("bootCounting", "`tries`"),
    ("boot_counting", "`tries`"),
    ("canTouchEfiVariables", "`nvram`"),
    ("cmdline", "`kernel_parameters`"),
    ("configurationLimit", "`generations`"),
    ("configuration_limit", "`generations`"),
    ("consoleMode", "`console_mode`"),
    ("default", "nothing: the newest generation is the default, and `cairn rollback` chooses another"),
    ("device", "nothing: the boot loader goes to the disk that holds the root"),
    ("deviceTree", "`device_tree`"),
    ("devicetree", "`device_tree`"),
    ("devices", "nothing: the boot loader goes to the disk that holds the root"),
    ("edk2-uefi-shell", "an entry in `entries`, whose `efi` is a file in `files`"),
    ("efi", "`nvram` for the firmware's own menu; where the ESP is mounted is said in `disks`"),
    ("efiInstallAsRemovable", "nothing: the removable path is always written, and `nvram: true` adds the other"),
    ("efi_variables", "`nvram`"),
    ("enable", "nothing: there always is a boot loader, and `loader` says which"),
    ("extraEntries", "`entries`"),
    ("extraFiles", "`files`"),
    ("grub", "`loader: grub`, with the settings beside it"),
    ("hashedPassword", "`password_hash`, as `grub-mkpasswd-pbkdf2` prints it"),
    ("installDeviceTree", "`device_tree`"),
    ("kernelModules", "`kernel_modules` at the outermost level"),
    ("kernelParams", "`kernel_parameters`"),
    ("kernel_params", "`kernel_parameters`"),
    ("limit", "`generations`"),
    ("memtest86", "`memtest`"),
    ("mirroredBoots", "a second partition with `type: esp` and a `mount_point` of its own"),
    ("netbootxyz", "an entry in `entries`, whose `efi` is a file in `files`"),
    ("osProber", "`other_systems`"),
    ("os_prober", "`other_systems`"),
    ("password", "`password_hash`, as `grub-mkpasswd-pbkdf2` prints it"),
    ("rebootForBitlocker", "nothing: systemd-boot's `other_systems` finds Windows by itself"),
    ("savedefault", "`remember`"),
    ("secureBoot", "`secure_boot`"),
    ("lanzaboote", "`secure_boot: {keys: own}`"),
    ("shim", "`secure_boot: shim`"),
    ("systemd-boot", "`loader: systemd-boot`, with the settings beside it"),
    ("timeoutStyle", "`menu`"),
    ("timeout_style", "`menu`"),
    ("useOSProber", "`other_systems`"),
    ("users", "`password_hash`, as `grub-mkpasswd-pbkdf2` prints it"),
    ("windows", "nothing: `other_systems` finds other systems, and `entries` names those it does not"),
    ("xbootldrMountPoint", "a partition with `type: xbootldr`"),
];

/// Every key of a schema with the places that know it.
pub(super) struct Hints<'a> {
    places: BTreeMap<&'a str, Vec<String>>,
}

impl<'a> Hints<'a> {
    pub fn new(root: &'a Json) -> Hints<'a> {
        let mut hints = Hints { places: BTreeMap::new() };
        hints.visit(root, root, "");
        hints
    }

    fn visit(&mut self, root: &'a Json, schema: &'a Json, place: &str) {
        let schema = resolve(root, schema);
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            self.places.entry(key).or_default().push(place.to_owned());
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            self.visit(root, value, &place);
        }
        if schema["additionalProperties"].is_object() {
            self.visit(root, &schema["additionalProperties"], &format!("{place}.NAME"));
        }
        if schema["items"].is_object() {
            self.visit(root, &schema["items"], &format!("{place}[]"));
        }
    }

    /// Where a key belongs that is unknown in its place.
    pub fn for_key(&self, key: &str) -> Option<String> {
        match self.places.get(key)?.as_slice() {
            [place] if place.is_empty() => {
                Some(format!("`{key}` belongs at the outermost level; check the indentation"))
            }
            [place] => Some(format!("`{key}` belongs under `{place}`; check the indentation")),
            // Other places with such a key lie deep.
            places if places.iter().any(String::is_empty) => {
                Some(format!("`{key}` belongs at the outermost level; check the indentation"))
            }
            _ => None,
        }
    }
}

/// What a key of another tool is called here.
pub(super) fn synonym(key: &str, pointer: &str) -> Option<&'static str> {
    if pointer == "/boot"
        && let Some((_, meant)) = BOOT_SYNONYMS.iter().find(|(word, _)| *word == key)
    {
        return Some(meant);
    }
    let (_, meant) = SYNONYMS.iter().find(|(word, _)| *word == key)?;
    // `groups: [sudo]` is said of a user.
    (!meant.starts_with("`groups: [") || pointer.starts_with("/users")).then_some(meant)
}

/// A list where a mapping is wanted: names as list items, as cloud-init has them.
pub(super) fn for_mapping(node: &Node, schema: &Json) -> Option<String> {
    match (&node.value, schema.get("properties")) {
        (Value::Sequence(_), None) => {
            Some("write `NAME:` lines with the settings indented below each, instead of `- ` items".into())
        }
        (Value::Scalar(_), _) => Some("put the settings on lines of their own, indented".into()),
        _ => None,
    }
}

/// One value where a list is wanted.
pub(super) fn for_sequence(node: &Node, pointer: &str) -> Option<String> {
    let key = crate::pointer::tokens(pointer)?.pop()?;
    match &node.value {
        Value::Scalar(scalar) if !scalar.text.contains('\n') && scalar.text.len() < 40 => {
            let items: Vec<&str> = scalar.text.split([',', ' ']).filter(|item| !item.is_empty()).collect();
            Some(format!("write `{key}: [{}]`", items.join(", ")))
        }
        Value::Scalar(_) => Some("write it on a line of its own, after `- `".into()),
        Value::Mapping(_) => Some("begin each item with `- `".into()),
        _ => None,
    }
}

/// A mapping where text is wanted: most often a value with `: ` in it, in a list.
pub(super) fn for_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Mapping(mapping) if mapping.entries().len() == 1 => {
            Some("if this is one value with `:` in it, put it into quotes".into())
        }
        _ => None,
    }
}
