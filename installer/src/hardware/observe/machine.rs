//! The processor, the memory, the firmware, and what makes a machine a virtual one.

use cairn_machine::model::FirmwareKind;
use cairn_root::Root;
use serde::Serialize;

use super::sysfs::text;

/// Thousands of processors.
const MOST_PROCESSORS: u64 = 64 << 20;
const MOST: u64 = 64 << 10;
/// The variables that UEFI itself defines.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// What a machine is, beside its devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Maker and model, as the firmware says them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The processor.
    pub processor: Processor,
    /// Bytes of memory that the kernel has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// What it runs in, if it is no real hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What started it.
    pub firmware: FirmwareKind,
    /// Whether the firmware starts signed programs only; nothing where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// The major version of its TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<u32>,
    /// Where the kernel speaks, the last one is `/dev/console`.
    pub consoles: Vec<Console>,
}

/// The first processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Its maker, such as `GenuineIntel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many there are.
    pub count: usize,
    /// How it runs virtual machines: `vmx`, `svm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualization: Option<&'static str>,
    /// The version of its microcode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub microcode: Option<String>,
}

/// What a machine without hardware of its own runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Platform {
    /// QEMU, with KVM or without.
    Qemu,
    /// Oracle's.
    VirtualBox,
    /// VMware's.
    Vmware,
    /// Microsoft's.
    HyperV,
    /// Xen, but for its first domain, which has the hardware.
    Xen,
    /// Parallels'.
    Parallels,
    /// A container of systemd-nspawn.
    Nspawn,
    /// The processor says that it is a virtual one, and nothing says whose.
    Other,
}

/// Where the kernel speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Console {
    /// `tty0`, `ttyS0`.
    pub device: String,
    /// What the kernel's command line says of it: `115200n8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

impl Console {
    /// Whether it is no screen.
    pub fn is_serial(&self) -> bool {
        let letters = self.device.trim_end_matches(|c: char| c.is_ascii_digit());
        !["tty", "netcon", "ttynull", "pstore", "dummycon"].contains(&letters)
    }

    /// As the kernel's command line has it.
    pub fn parameter(&self) -> String {
        match &self.options {
            Some(options) => format!("{},{options}", self.device),
            None => self.device.clone(),
        }
    }
}

/// Reads it.
pub fn read(root: &Root) -> Machine {
    let dmi = |name: &str| text(root, format!("sys/class/dmi/id/{name}"));
    let cpu = root.read("proc/cpuinfo", MOST_PROCESSORS).ok().flatten().unwrap_or_default();
    let cpu = String::from_utf8_lossy(&cpu);
    let flags = field(&cpu, "flags").unwrap_or_default();
    let flag = |name: &str| flags.split_ascii_whitespace().any(|flag| flag == name);
    let words = [dmi("sys_vendor"), dmi("product_name")];
    let product: Vec<String> = words.into_iter().flatten().collect();
    let efi = root.metadata("sys/firmware/efi").ok().flatten().is_some();
    let small = text(root, "sys/firmware/efi/fw_platform_size").as_deref() == Some("32");
    Machine {
        platform: platform(root, &[dmi("bios_vendor"), dmi("board_vendor")], &product, flag("hypervisor")),
        product: (!product.is_empty()).then(|| product.join(" ")),
        processor: Processor {
            vendor: field(&cpu, "vendor_id").map(str::to_string),
            model: field(&cpu, "model name").map(str::to_string),
            count: cpu.lines().filter(|line| name_of(line) == Some("processor")).count(),
            virtualization: ["vmx", "svm"].into_iter().find(|name| flag(name)),
            microcode: field(&cpu, "microcode").map(str::to_string),
        },
        memory: memory(root),
        firmware: match (efi, small) {
            (true, false) => FirmwareKind::Uefi,
            (true, true) => FirmwareKind::Uefi32,
            (false, _) => FirmwareKind::Bios,
        },
        secure_boot: secure_boot(root),
        tpm: tpm(root),
        consoles: consoles(root),
    }
}

fn name_of(line: &str) -> Option<&str> {
    line.split_once(':').map(|(name, _)| name.trim())
}

/// The first processor's value of a field in /proc/cpuinfo.
fn field<'a>(cpuinfo: &'a str, field: &str) -> Option<&'a str> {
    cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == field).then(|| value.trim())
    })
}

fn memory(root: &Root) -> Option<u64> {
    let text = text(root, "proc/meminfo")?;
    let total = field(&text, "MemTotal")?.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    total.checked_mul(1024)
}

/// Whether the firmware starts only what is signed; nothing where it cannot say so.
pub(crate) fn secure_boot(root: &Root) -> Option<bool> {
    variable(root, "SecureBoot").map(|on| on == 1)
}

/// The value of a variable of one byte, after four of attributes.
fn variable(root: &Root, name: &str) -> Option<u8> {
    let bytes = root.read(format!("sys/firmware/efi/efivars/{name}-{GLOBAL}"), MOST).ok()??;
    bytes.get(4).copied()
}

fn tpm(root: &Root) -> Option<u32> {
    root.metadata("sys/class/tpm/tpm0").ok()??;
    // Only the drivers of version 2 have always said so.
    Some(text(root, "sys/class/tpm/tpm0/tpm_version_major").and_then(|text| text.parse().ok()).unwrap_or(1))
}

/// By the names that makers of virtual machines give their firmware (`systemd-detect-virt` knows the same ones).
fn platform(root: &Root, others: &[Option<String>], product: &[String], virtual_processor: bool) -> Option<Platform> {
    if text(root, "run/systemd/container").as_deref() == Some("systemd-nspawn") {
        return Some(Platform::Nspawn);
    }
    if text(root, "sys/hypervisor/type").as_deref() == Some("xen") {
        let first = text(root, "proc/xen/capabilities").is_some_and(|text| text.contains("control_d"));
        return (!first).then_some(Platform::Xen);
    }
    const NAMES: [(&str, Platform); 10] = [
        ("VirtualBox", Platform::VirtualBox),
        ("innotek", Platform::VirtualBox),
        ("VMware", Platform::Vmware),
        ("VMW", Platform::Vmware),
        ("Parallels", Platform::Parallels),
        ("QEMU", Platform::Qemu),
        ("KVM", Platform::Qemu),
        ("OpenStack", Platform::Qemu),
        ("Bochs", Platform::Qemu),
        ("Xen", Platform::Xen),
    ];
    let words = || product.iter().chain(others.iter().flatten());
    // Microsoft makes real computers too.
    let hyper_v = product.first().is_some_and(|vendor| vendor.starts_with("Microsoft"))
        && product.get(1).is_some_and(|name| name == "Virtual Machine");
    if hyper_v {
        return Some(Platform::HyperV);
    }
    let named = NAMES.iter().find(|(name, _)| words().any(|word| word.starts_with(name)));
    named.map(|(_, platform)| *platform).or(virtual_processor.then_some(Platform::Other))
}

/// Those that are active, with what the command line says of them.
fn consoles(root: &Root) -> Vec<Console> {
    let line = text(root, "proc/cmdline").unwrap_or_default();
    let options = |device: &str| {
        let said = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("console="));
        said.filter_map(|said| said.split_once(',')).rfind(|(of, _)| *of == device)
    };
    let active = text(root, "sys/class/tty/console/active").unwrap_or_default();
    let console = |device: &str| Console {
        device: device.to_string(),
        options: options(device).map(|(_, options)| options.to_string()),
    };
    active.split_ascii_whitespace().map(console).collect()
}
