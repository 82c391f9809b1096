//! What a machine must be like, as plain values: from a machine file, its lock file and its build.

use std::collections::BTreeMap;

use cairn_machine::Checked;
use cairn_machine::model::{EtcFile, Network, SysctlValue, Test, User, unit_name};
use cairn_make::{Prepared, lock_file};

/// What is checked. What is empty or `None` is not checked, so the default asks for a machine that boots and is well.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Expected {
    /// The host name.
    pub hostname: Option<String>,
    /// The architecture as `uname -m` says it.
    pub architecture: Option<&'static str>,
    /// The kernel's release as `uname -r` says it.
    pub kernel: Option<String>,
    /// Words of the kernel's command line.
    pub kernel_parameters: Vec<String>,
    /// The store path of the system that runs.
    pub system: Option<String>,
    /// Whether it is started by a firmware that enforces Secure Boot, and knows it.
    pub secure_boot: bool,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Groups by name, with their number where it is given.
    pub groups: BTreeMap<String, Option<u32>>,
    /// Units that run.
    pub enabled: Vec<String>,
    /// Units that do not run.
    pub disabled: Vec<String>,
    /// Units that are there and do not start by themselves.
    pub present: Vec<String>,
    /// Files under /etc, by absolute path.
    pub files: BTreeMap<String, ExpectedFile>,
    /// File systems: mount point and type.
    pub mounts: BTreeMap<String, String>,
    /// How many swap areas are in use.
    pub swaps: usize,
    /// The root file system reaches to the end of the disk.
    pub root_grows: bool,
    /// Packages by name, with version.
    pub packages: BTreeMap<String, String>,
    /// Kernel settings, as in sysctl.d.
    pub sysctl: BTreeMap<String, String>,
    /// Kernel modules that are loaded or built in.
    pub modules: Vec<String>,
    /// Kernel modules that are not loaded.
    pub no_modules: Vec<String>,
    /// The time zone.
    pub timezone: Option<String>,
    /// `LANG`.
    pub lang: Option<String>,
    /// The layout of the keyboard.
    pub keyboard: Option<String>,
    /// The network.
    pub network: Option<Network>,
    /// The machine file's own checks.
    pub tests: Vec<Test>,
}

/// A file under /etc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// What is in it.
    pub content: Content,
    /// Permissions in octal without leading zeros; `None` where the machine file does not say.
    pub mode: Option<String>,
    /// Owner.
    pub user: String,
    /// Group.
    pub group: String,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// It is a symbolic link to this.
    Link(String),
    /// Something that was not at hand when the check was made: the file must be there.
    Anything,
}

impl Expected {
    /// What an image of this machine must be.
    pub fn of(machine: &Prepared) -> Expected {
        let newest = machine.newest();
        Expected::from_machine(&newest.checked, &mut |path| newest.named.contents.get(path).cloned())
            .with_packages(lock_file::packages(&newest.lock))
            .with_system(Some(newest.system.info.path.to_string()), Some(newest.system.kernel_release.clone()))
    }

    /// What a machine file says. `read` gives the files that it names; what it cannot give is checked for being there.
    pub fn from_machine(checked: &Checked, read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> Expected {
        let machine = &checked.machine;
        let mut expected = Expected {
            hostname: Some(machine.hostname.clone()),
            architecture: Some("x86_64"),
            kernel_parameters: checked.kernel_parameters(),
            secure_boot: machine.boot.by_shim() && machine.firmware().uefi,
            users: machine.users.clone(),
            groups: machine.groups.iter().map(|(name, group)| (name.clone(), group.gid)).collect(),
            enabled: machine.services.enable.iter().map(|u| unit_name(u)).collect(),
            disabled: machine.services.disable.iter().map(|u| unit_name(u)).collect(),
            sysctl: machine.sysctl.iter().map(|(key, value)| (key.clone(), sysctl(value))).collect(),
            modules: checked.boot_modules(),
            no_modules: machine.kernel_modules.blacklist.clone(),
            timezone: Some(machine.timezone.clone()),
            lang: Some(machine.locale.lang.clone()),
            keyboard: Some(machine.keyboard.layout.clone()),
            tests: machine.tests.clone(),
            network: Some(machine.network.clone()),
            ..Expected::default()
        };
        for (name, unit) in &machine.services.units {
            let list = if unit.enable { &mut expected.enabled } else { &mut expected.present };
            list.push(name.clone());
        }
        expected.files = machine.files.iter().map(|(path, f)| (path.clone(), file(f, read))).collect();
        for disk in machine.disks.values() {
            for (n, partition) in disk.all_partitions().iter().enumerate() {
                let Some(format) = partition.file_system() else { continue };
                let at = disk.mount_point(n);
                if format == cairn_machine::model::FileSystem::Swap {
                    expected.swaps += 1;
                } else if let Some(at) = &at {
                    expected.mounts.insert(at.clone(), format.name().into());
                }
                expected.root_grows |= at.as_deref() == Some("/") && disk.grows(n);
            }
        }
        expected
    }

    /// With the packages of a lock file: name and version.
    #[must_use]
    pub fn with_packages(mut self, packages: impl IntoIterator<Item = (String, String)>) -> Expected {
        self.packages = packages.into_iter().collect();
        self
    }

    /// With what a build made: the system's store path and the kernel's release.
    #[must_use]
    pub fn with_system(mut self, system: Option<String>, kernel: Option<String>) -> Expected {
        self.system = system;
        self.kernel = kernel;
        self
    }
}

fn sysctl(value: &SysctlValue) -> String {
    match value {
        SysctlValue::Number(number) => number.to_string(),
        SysctlValue::Text(text) => text.clone(),
    }
}

fn file(file: &EtcFile, read: &mut dyn FnMut(&str) -> Option<Vec<u8>>) -> ExpectedFile {
    let content = if let Some(target) = &file.link {
        Content::Link(target.clone())
    } else if let Some(text) = &file.text {
        Content::Bytes(text.clone().into_bytes())
    } else {
        file.source.as_deref().and_then(read).map_or(Content::Anything, Content::Bytes)
    };
    let octal = |mode: &String| mode.trim_start_matches('0').to_string();
    ExpectedFile {
        content,
        mode: file.mode.as_ref().map(octal),
        user: file.user.clone().unwrap_or_else(|| "root".into()),
        group: file.group.clone().unwrap_or_else(|| "root".into()),
    }
}
