//! The machine file as a value: what `machine.yaml` says, after defaults, before anything is planned.
//!
//! The structs here are the single table behind the JSON Schema (`cairn schema`), the structural check with its
//! file:line:column messages, and the typed value that the rest of Cairn works with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::size::Size;

/// A whole machine file, version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The version of this file's schema; 1.
    pub version: u32,
    /// The host name: one or more RFC 1123 labels.
    pub hostname: String,
    /// The machine's architecture, as systemd names it.
    #[serde(default)]
    pub architecture: Architecture,
    /// Every identifier on the disk is derived from this UUID. Default: derived from the host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Uuid>,
    /// A hardware file to include, relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Where the packages come from.
    pub source: Source,
    /// The disks by name. An image is made of the one disk that holds the root file system.
    pub disks: BTreeMap<String, Disk>,
    /// The boot loader and the kernel's command line.
    #[serde(default)]
    pub boot: Boot,
    /// The language of messages and formats.
    #[serde(default)]
    pub locale: Locale,
    /// The time zone, by its name in the tz database.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// The keyboard of the text consoles.
    #[serde(default)]
    pub keyboard: Keyboard,
    /// Network interfaces, in the manner of systemd-networkd.
    #[serde(default)]
    pub network: Network,
    /// User accounts by login name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, User>,
    /// Groups of the machine's own, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// What runs.
    #[serde(default)]
    pub services: Services,
    /// Files under /etc, by absolute path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, EtcFile>,
    /// Kernel settings, as in sysctl.d.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctl: BTreeMap<String, SysctlValue>,
    /// Kernel modules.
    #[serde(default)]
    pub kernel_modules: KernelModules,
    /// Commands that `cairn verify` runs as root on the booted machine; each must exit 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
}

fn default_timezone() -> String {
    "UTC".into()
}

/// An instruction set, named as systemd's `ConditionArchitecture=` names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// 64-bit PC; Debian's `amd64`.
    #[default]
    #[serde(rename = "x86-64")]
    X86_64,
}

/// Where a system comes from: exactly one of its kinds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Debian packages, made into a base by mmdebstrap.
    pub debian: DebianSource,
}

/// Debian packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DebianSource {
    /// The suite's code name.
    #[serde(default = "default_suite")]
    pub suite: String,
    /// The mirror's URI; without one, the default mirror of mmdebstrap. A snapshot mirror keeps old versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Components of the archive.
    #[serde(default = "default_components")]
    pub components: Vec<String>,
    /// Packages on top of what every machine needs to boot.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The kernel package.
    #[serde(default = "default_kernel")]
    pub kernel: String,
}

fn default_suite() -> String {
    "trixie".into()
}
fn default_components() -> Vec<String> {
    vec!["main".into()]
}
fn default_kernel() -> String {
    "linux-image-cloud-amd64".into()
}

/// One disk: a named layout, or partition by partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// A ready-made layout. Excludes `partitions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<NamedLayout>,
    /// The image's size. Default: what the partitions need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Room to leave free on the root file system when its size is computed (and not given).
    #[serde(default = "default_free")]
    pub free: Size,
    /// The partitions in their order on the disk. Excludes `layout`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
}

fn default_free() -> Size {
    Size::from_mib(256)
}

/// Layouts with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedLayout {
    /// GPT: an EFI system partition, and a root that grows to the end of the disk.
    Uefi,
}

/// One partition, in the words of systemd-repart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// What the partition is for; decides its GPT type (Discoverable Partitions Specification).
    #[serde(rename = "type")]
    pub kind: PartitionKind,
    /// The GPT partition name; at most 36 UTF-16 units. Default: the type's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// An exact size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The least size, where it is not exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_min: Option<Size>,
    /// The greatest size, where it is not exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_max: Option<Size>,
    /// The share of the disk's remaining space that this partition gets, against the others' weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The file system. Default: vfat for esp and xbootldr, swap for swap, none for bios-boot, else ext4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileSystem>,
    /// Where it is mounted. Default: / for root, /home for home, /efi or /boot for esp, /boot for xbootldr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_point: Option<String>,
    /// Grow to the end of the disk when the machine boots; for the last partition. Default: true for a last root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow: Option<bool>,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition.
    Xbootldr,
    /// BIOS boot partition, for GRUB's core image.
    BiosBoot,
    /// Swap.
    Swap,
    /// The root file system.
    Root,
    /// /home.
    Home,
    /// Any other data; needs a `mount_point`.
    Data,
}

/// File systems that Cairn writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// FAT, for boot partitions.
    Vfat,
    /// ext4.
    Ext4,
    /// Swap space.
    Swap,
}

/// The boot loader and the kernel's command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Boot {
    /// Which boot loader.
    pub loader: Loader,
    /// Seconds that the menu is shown; 0 hides it.
    pub timeout: u32,
    /// How many generations keep their entry in the menu.
    pub generations: u32,
    /// More parameters for the kernel.
    pub kernel_parameters: Vec<String>,
    /// Consoles, least important first; the last one is /dev/console. As after `console=`.
    pub consoles: Vec<String>,
}

impl Default for Boot {
    fn default() -> Self {
        Boot {
            loader: Loader::SystemdBoot,
            timeout: 3,
            generations: 10,
            kernel_parameters: Vec::new(),
            consoles: vec!["tty0".into(), "ttyS0,115200".into()],
        }
    }
}

/// Boot loaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// systemd-boot (UEFI).
    SystemdBoot,
}

/// The language of messages and formats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Locale {
    /// `LANG`.
    pub lang: String,
    /// Single categories, such as `LC_TIME`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, String>,
}

impl Default for Locale {
    fn default() -> Self {
        Locale { lang: "C.UTF-8".into(), categories: BTreeMap::new() }
    }
}

/// The keyboard, in XKB's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Keyboard {
    /// XKB layout, such as `de`.
    pub layout: String,
    /// XKB variant, such as `nodeadkeys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// XKB model.
    pub model: String,
    /// XKB options, such as `ctrl:nocaps`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Default for Keyboard {
    fn default() -> Self {
        Keyboard { layout: "us".into(), variant: None, model: "pc105".into(), options: Vec::new() }
    }
}

/// The network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Interfaces by name; the name is what is matched unless `match` says otherwise. Without any, every Ethernet
    /// interface asks DHCP.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub interfaces: BTreeMap<String, Interface>,
    /// Name servers besides those that DHCP tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Domains to search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Which interface this is, where its name does not tell.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<InterfaceMatch>,
    /// Ask DHCP (v4 and v6). Default: true without `addresses`, else false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<bool>,
    /// Static addresses with prefix length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The default gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,
    /// Name servers on this interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// Do not wait for this interface when the machine boots.
    pub optional: bool,
}

/// How an interface is recognised, in the words of systemd.network's [Match].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InterfaceMatch {
    /// A name or glob, such as `en*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// A driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

/// A user account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// The real name (GECOS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The numeric user id. Default: the next free one from 1000 on, in the file's order of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The primary group. Default: a group of the user's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Further groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The home directory. Default: /home/NAME, and /root for root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// The login shell. Default: /bin/bash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// A system account: id below 1000, no home directory is made.
    pub system: bool,
    /// SSH public keys that may log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
    /// A file, relative to this one, that holds a crypt(5) hash of the first password. It is read when an image is
    /// made and put into the machine's own state, never into the store; a password changed later stays changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashed_password_file: Option<String>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// The numeric group id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// A system group: id below 1000.
    pub system: bool,
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// Units of the packages to start at boot. `.service` may be left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enable: Vec<String>,
    /// Units of the packages not to start (masked).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disable: Vec<String>,
    /// Units of the machine's own, by unit name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, Unit>,
}

/// A systemd unit of the machine's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// The unit file's text.
    pub text: String,
    /// Start it at boot, by its [Install] section.
    #[serde(default = "yes")]
    pub enable: bool,
}

fn yes() -> bool {
    true
}

/// A file under /etc: exactly one of `text`, `source` and `link`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EtcFile {
    /// The contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A file, relative to the machine file, with the contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The target of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The permissions in octal, such as "0640". Default: "0644".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The owning user. Default: root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The owning group. Default: root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The value of a kernel setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SysctlValue {
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

/// Kernel modules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KernelModules {
    /// Loaded at boot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<String>,
    /// Never loaded by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blacklist: Vec<String>,
    /// Present in the initrd, besides those that the hardware file names; loaded as the hardware asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub initrd: Vec<String>,
}

/// A check of the machine's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What is checked; shown in the result.
    pub name: String,
    /// A shell command, run as root. Exit 0 passes.
    pub command: String,
    /// What its standard output must be, blanks at the ends aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// A hardware file, version 1: facts about one piece of hardware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// The version of this file's schema; 1.
    pub version: u32,
    /// The architecture that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// The seed of this installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Uuid>,
    /// Modules that the initrd needs to reach the root disk. Without a hardware file a generic set is used.
    #[serde(default)]
    pub initrd_modules: Vec<String>,
    /// Modules to load at boot.
    #[serde(default)]
    pub kernel_modules: Vec<String>,
    /// Kernel parameters that this hardware needs.
    #[serde(default)]
    pub kernel_parameters: Vec<String>,
}
