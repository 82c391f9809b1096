//! The boot loader, its menu, and the kernel's command line.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The boot loader, its menu, and the kernel's command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Boot {
    /// Which boot loader. Layouts that boot under BIOS need `grub`.
    pub loader: Loader,
    /// Seconds that the menu is shown; 0 hides it.
    #[schemars(range(min = 0, max = 3600), example = 3)]
    pub timeout: u32,
    /// Whether the menu is shown. `hidden`: only when a key is pressed. `wait`: until somebody chooses, whatever
    /// `timeout` says; the machine does not boot by itself then.
    pub menu: Menu,
    /// How many generations keep their entry in the menu.
    #[schemars(range(min = 1, max = 1000), example = 10)]
    pub generations: u32,
    /// How often a new generation is tried before the machine goes back to the last good one; 0: no counting and no
    /// way back by itself.
    #[schemars(range(min = 0, max = 9), example = 3)]
    pub tries: u32,
    /// What a new generation must pass, besides reaching the end of its boot, before it counts as good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<BootCheck>,
    /// Seconds that a new generation may take until it is good; after that the machine is restarted, and the try has
    /// failed.
    #[schemars(range(min = 30, max = 86400), example = 600)]
    pub deadline: u32,
    /// Let a hardware watchdog, where there is one, restart a machine that hangs.
    pub watchdog: bool,
    /// When a boot ends in emergency or rescue mode, whether whoever sits at the machine gets root's shell without a
    /// password. Otherwise root's password opens it, and nothing does where root has none.
    pub emergency_access: bool,
    /// More parameters for the kernel.
    #[schemars(extend("examples" = [["panic=10"]]))]
    pub kernel_parameters: Vec<String>,
    /// Consoles, least important first; the last one is /dev/console. As after `console=`. A serial one is the GRUB
    /// menu's too.
    #[schemars(extend("examples" = [["tty0", "ttyS0,115200"]]))]
    pub consoles: Vec<String>,
    /// The text mode of systemd-boot's menu: as it is (`keep`), the best by its own judgement (`auto`), the largest
    /// (`max`), or a number of UEFI's. Default: keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_mode: Option<ConsoleMode>,
    /// Whether whoever sits at the machine may change the kernel's command line in the menu, and so become root.
    pub editor: bool,
    /// Entries of the menu besides the generations, by a name of their own: other systems, tools.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"}))]
    pub entries: BTreeMap<String, BootEntry>,
    /// Files on the boot partition, by their path there, such as `EFI/tools/shell.efi`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^[^/\\\\\"*:<>?|]+(/[^/\\\\\"*:<>?|]+)*$"}))]
    pub files: BTreeMap<String, BootFile>,
    /// systemd-boot: a compiled device tree, a file relative to the machine file, that the kernel gets in the place of the
    /// firmware's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"board.dtb")]
    pub device_tree: Option<String>,
    /// An entry that tests the memory (package memtest86+).
    pub memtest: bool,
    /// An entry that opens the firmware's setup, where the firmware can be asked for it.
    pub firmware_setup: bool,
    /// Entries for other systems that are found on the disk: Windows, and what else starts from the same EFI system
    /// partition.
    pub other_systems: bool,
    /// GRUB: what somebody chooses in the menu is what boots from then on, if it has booted well before; until the first
    /// entry is chosen again, or `cairn upgrade` or `rollback` says what is to boot.
    pub remember: bool,
    /// Enter the boot loader into the firmware's own boot menu (UEFI variables) as well. The removable path, which
    /// every firmware tries, is always written, unless another system has it on an EFI system partition that is shared.
    pub nvram: bool,
    /// What the machine starts by where the firmware enforces Secure Boot. `shim`: Debian's chain, which nearly every firmware
    /// knows: shim, the loader as Debian has signed it, and one of Debian's signed kernels. `{keys: own}`: systemd-boot and an image of
    /// each generation (kernel, initrd and command line in one file), signed by keys that the machine draws for itself and that its
    /// firmware is given. `none`: such a firmware does not start the machine. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<SecureBoot>,
    /// GRUB: who knows this password may edit entries and use GRUB's command line; the generations boot without it. A
    /// hash as `grub-mkpasswd-pbkdf2` prints it. Every user can read it in the store, so choose a password of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^grub\.pbkdf2\.sha512\.[1-9][0-9]*\.([0-9A-Fa-f]{2})+\.([0-9A-Fa-f]{2})+$"))]
    pub password_hash: Option<String>,
}

impl Default for Boot {
    fn default() -> Self {
        Boot {
            loader: Loader::SystemdBoot,
            timeout: 3,
            menu: Menu::Shown,
            generations: 10,
            tries: 3,
            checks: Vec::new(),
            deadline: 600,
            watchdog: true,
            emergency_access: false,
            kernel_parameters: Vec::new(),
            consoles: vec!["tty0".into(), "ttyS0,115200".into()],
            console_mode: None,
            editor: false,
            entries: BTreeMap::new(),
            files: BTreeMap::new(),
            device_tree: None,
            memtest: false,
            firmware_setup: true,
            other_systems: true,
            remember: false,
            nvram: false,
            secure_boot: None,
            password_hash: None,
        }
    }
}

/// Boot loaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// systemd-boot (UEFI).
    SystemdBoot,
    /// GRUB (UEFI and BIOS).
    Grub,
}

impl Loader {
    /// The loader's name in the machine file.
    pub fn name(self) -> &'static str {
        match self {
            Loader::SystemdBoot => "systemd-boot",
            Loader::Grub => "grub",
        }
    }
}

/// What a machine starts by under Secure Boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecureBoot {
    /// What others have signed, or nobody.
    By(SignedBy),
    /// What the machine signs itself.
    Keys(SecureBootKeys),
}

/// Who has signed what a machine starts by, if it is not the machine itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignedBy {
    /// Programs without a signature.
    #[default]
    None,
    /// Debian's shim, which Microsoft has signed, and what Debian has signed behind it.
    Shim,
}

/// Keys by which a machine signs what it starts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecureBootKeys {
    /// Whose keys.
    pub keys: KeysOf,
}

/// Whose keys sign what a machine starts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeysOf {
    /// The machine draws them for itself, and they never leave it.
    Own,
}

impl SecureBoot {
    /// Debian's chain.
    pub const SHIM: SecureBoot = SecureBoot::By(SignedBy::Shim);
    /// The machine's own keys.
    pub const OWN_KEYS: SecureBoot = SecureBoot::Keys(SecureBootKeys { keys: KeysOf::Own });
}

/// Whether the menu is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Menu {
    /// For `timeout` seconds.
    #[default]
    Shown,
    /// Only when a key is pressed.
    Hidden,
    /// Until somebody chooses.
    Wait,
}

/// The text mode of systemd-boot's menu.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsoleMode {
    /// What the firmware has chosen.
    #[default]
    Keep,
    /// What systemd-boot finds best.
    Auto,
    /// The largest.
    Max,
    /// 80 columns, 25 lines.
    #[serde(rename = "0")]
    Mode0,
    /// 80 columns, 50 lines.
    #[serde(rename = "1")]
    Mode1,
    /// The firmware's first own mode.
    #[serde(rename = "2")]
    Mode2,
}

impl ConsoleMode {
    /// The mode as loader.conf has it.
    pub fn name(self) -> &'static str {
        match self {
            ConsoleMode::Keep => "keep",
            ConsoleMode::Auto => "auto",
            ConsoleMode::Max => "max",
            ConsoleMode::Mode0 => "0",
            ConsoleMode::Mode1 => "1",
            ConsoleMode::Mode2 => "2",
        }
    }
}

/// What a new generation must pass before it counts as good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootCheck {
    /// What is checked; shown when it fails.
    #[schemars(example = &"the web server answers")]
    pub name: String,
    /// A shell command, run as root. Exit 0 passes.
    #[schemars(extend("contentMediaType" = "text/x-shellscript"), example = &"curl -fsS http://localhost/")]
    pub command: String,
}

/// An entry of the boot menu: exactly one of `efi` and `linux`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [{"required": ["efi"]}, {"required": ["linux"]}]))]
pub struct BootEntry {
    /// What the menu shows. Default: the entry's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"UEFI Shell")]
    pub title: Option<String>,
    /// An EFI program on the boot partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"EFI/tools/shell.efi")]
    pub efi: Option<String>,
    /// A Linux kernel on the boot partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"rescue/vmlinuz")]
    pub linux: Option<String>,
    /// Initrds on the boot partition, for `linux`, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["rescue/initrd.img"]]))]
    pub initrd: Vec<String>,
    /// The parameters of the kernel or of the EFI program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["ro", "quiet"]]))]
    pub options: Vec<String>,
}

/// A file on the boot partition: exactly one of `text` and `source`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [{"required": ["text"]}, {"required": ["source"]}]))]
pub struct BootFile {
    /// The contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("contentMediaType" = "text/plain"), example = &"Hello.\n")]
    pub text: Option<String>,
    /// A file, relative to the machine file, with the contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"files/shell.efi")]
    pub source: Option<String>,
}

/// A serial port as GRUB's `serial` command wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SerialPort {
    /// Its number: 0 for ttyS0.
    pub unit: u32,
    /// Bits a second.
    pub speed: u32,
    /// Bits in a word: 7 or 8.
    pub word: u8,
    /// Its parity.
    pub parity: Parity,
}

/// The parity of a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parity {
    /// None.
    None,
    /// Odd.
    Odd,
    /// Even.
    Even,
}

impl Parity {
    /// The parity in GRUB's words.
    pub fn name(self) -> &'static str {
        match self {
            Parity::None => "no",
            Parity::Odd => "odd",
            Parity::Even => "even",
        }
    }
}

impl Boot {
    /// Whether the machine starts by Debian's signed chain, where UEFI starts it.
    pub fn by_shim(&self) -> bool {
        self.secure_boot == Some(SecureBoot::SHIM)
    }

    /// Whether the machine signs what it starts by with keys of its own.
    pub fn by_own_keys(&self) -> bool {
        self.secure_boot == Some(SecureBoot::OWN_KEYS)
    }

    /// The serial port that the menu appears on as well: the last console that is one of a PC's four (`ttyS0` to
    /// `ttyS3`). The kernel's own defaults where nothing more is said: 9600 bits a second, 8 bits, no parity.
    pub fn serial(&self) -> Option<SerialPort> {
        self.consoles.iter().rev().find_map(|console| {
            let (device, options) = console.split_once(',').unwrap_or((console, ""));
            let unit = device.strip_prefix("ttyS")?.parse().ok().filter(|unit| *unit < 4)?;
            let rest = options.trim_start_matches(|c: char| c.is_ascii_digit());
            let speed = options[..options.len() - rest.len()].parse().unwrap_or(9600);
            let parity = match rest.as_bytes().first() {
                Some(b'o') => Parity::Odd,
                Some(b'e') => Parity::Even,
                _ => Parity::None,
            };
            let word = if rest.as_bytes().get(1) == Some(&b'7') { 7 } else { 8 };
            Some(SerialPort { unit, speed, word, parity })
        })
    }
}

impl BootEntry {
    /// What the menu shows for the entry of a name.
    pub fn title<'a>(&'a self, name: &'a str) -> &'a str {
        self.title.as_deref().unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_is_on_the_last_serial_console() {
        let serial = |consoles: &[&str]| {
            let consoles = consoles.iter().map(ToString::to_string).collect();
            Boot { consoles, ..Boot::default() }.serial().map(|s| (s.unit, s.speed, s.word, s.parity.name()))
        };
        assert_eq!(serial(&["tty0", "ttyS0,115200"]), Some((0, 115_200, 8, "no")));
        assert_eq!(serial(&["ttyS1,9600o7r", "tty0"]), Some((1, 9600, 7, "odd")));
        assert_eq!(serial(&["ttyS0", "ttyS1,57600e8"]), Some((1, 57600, 8, "even")));
        assert_eq!(serial(&["ttyS0"]), Some((0, 9600, 8, "no")));
        assert_eq!(serial(&["tty0", "hvc0", "ttyS12", "ttyUSB0,9600"]), None);
    }
}
