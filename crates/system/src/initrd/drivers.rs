//! The initrd's kernel modules: those that are asked for with all that they depend on, the firmware that they name, and
//! indices of just these.

use std::collections::BTreeSet;

use cairn_machine::nearest;

use super::cpio::Entry;
use super::modules::Modules;
use super::{Initrd, Wanted, contents, firmware, index, kernel, modinfo, modules, sets};
use crate::error::SystemError;
use crate::tree::{find_in, read_in};

impl Initrd<'_> {
    pub(super) fn modules(&mut self, release: &str, wanted: &Wanted) -> Result<(), SystemError> {
        let folder = kernel::folder(release);
        let texts = kernel::texts(self.base, release)?;
        let modules = Modules::parse(&texts);
        let names = names(&modules, release, wanted)?;
        let closure = modules.closure(names.iter().map(String::as_str));
        let (mut held, mut named) = (BTreeSet::new(), closure.firmware);
        for file in closure.files {
            named.extend(self.module(&format!("{folder}/{file}"))?);
            held.insert(modules::name_of(&file));
        }
        for name in named {
            self.firmware(release, &name)?;
        }
        let has = |name: &str| held.contains(name);
        let indices = [
            ("modules.dep.bin", index::dependencies(&texts.dep, &has)),
            ("modules.alias.bin", index::aliases(&texts.alias, &has)),
            ("modules.symbols.bin", index::aliases(&texts.symbols, &has)),
            ("modules.softdep", index::soft_dependencies(&texts.softdep, &has).into_bytes()),
        ];
        for (name, bytes) in indices {
            self.archive.put(format!("{folder}/{name}"), Entry::File(bytes, false))?;
        }
        for index in contents::BUILT_IN_INDICES {
            self.copy(&format!("{folder}/{index}"))?;
        }
        Ok(())
    }

    /// Puts a module under the path that `modules.dep` has, whatever links are on the way; gives the firmware that it names. It
    /// comes as the kernel takes it: the initrd as a whole is compressed, and unpacking xz takes many times as long as zstd.
    fn module(&mut self, path: &str) -> Result<Vec<String>, SystemError> {
        let source = self.base.join(path);
        // An index with `..` would lead anywhere.
        let inside = !path.split('/').any(|part| part == "..");
        let bytes = read_in(self.base, path).map_err(SystemError::io("reading", &source))?.filter(|_| inside);
        let bytes = bytes.ok_or_else(|| self.lacks(path, "modules.dep names"))?;
        let what = "a kernel module, plain or compressed by xz or zstd";
        let (module, named) = modinfo::read(&bytes).ok_or(SystemError::Malformed { path: source, what })?;
        self.archive.put(modules::plain(path), Entry::File(module.into_owned(), false))?;
        Ok(named)
    }

    /// Puts what the base has of a firmware. A path through links becomes one link to the file itself.
    fn firmware(&mut self, release: &str, name: &str) -> Result<(), SystemError> {
        let folder = self.base.join("usr/lib/firmware");
        let failed = |error| SystemError::io("looking for firmware in", &folder)(error);
        for path in firmware::find(self.base, release, name).map_err(failed)? {
            let Some(real) = find_in(self.base, &path).map_err(failed)? else { continue };
            self.copy(&real)?;
            if real != path {
                self.archive.put(path, Entry::Link(format!("/{real}")))?;
            }
        }
        Ok(())
    }
}

/// What to do about a module that a kernel does not have. A hardware file is written under one kernel and used with another.
pub(crate) fn help_for_missing(modules: &Modules, name: &str, of_hardware: bool) -> Option<String> {
    const OTHER_KERNEL: &str = "where a disk needs it, choose a kernel that has it (`kernel: linux-image-amd64` under \
                                `source: debian:` has most); otherwise take the line out";
    match (nearest(name, modules.names()), of_hardware) {
        (None, false) => None,
        (Some(near), false) => Some(format!("did you mean {near}?")),
        (None, true) => Some(OTHER_KERNEL.to_string()),
        (Some(near), true) => Some(format!("{OTHER_KERNEL}. Or did you mean {near}?")),
    }
}

/// The modules to ask for: what somebody named must be there, of our own sets what there is.
fn names(modules: &Modules, release: &str, wanted: &Wanted) -> Result<BTreeSet<String>, SystemError> {
    let (watchdog, wanted) = (wanted.watchdog, &wanted.modules);
    let hardware = wanted.hardware.iter().flatten().map(|named| (named, true));
    for ((pointer, name), of_hardware) in hardware.chain(wanted.more.iter().map(|named| (named, false))) {
        if !modules.has(name) {
            let help = help_for_missing(modules, name, of_hardware);
            let message = format!("the kernel {release} has no module {name}");
            return Err(SystemError::refused_with(pointer, message, help));
        }
    }
    let generic: &[&str] = if wanted.hardware.is_none() { &sets::GENERIC } else { &[] };
    let watchdogs: &[&str] = if watchdog { &sets::WATCHDOGS } else { &[] };
    let ours = sets::ALWAYS.iter().chain(generic).chain(watchdogs).map(ToString::to_string);
    let named = wanted.hardware.iter().flatten().chain(&wanted.more).map(|m| m.1.clone());
    Ok(ours.chain(named).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use cairn_process::Tool;

    use super::super::WantedModules;
    use super::super::cpio::Archive;
    use super::super::modinfo::tests::sample;
    use super::*;

    const KERNEL: &str = "usr/lib/modules/6.0";

    fn put(base: &Path, path: &str, bytes: impl AsRef<[u8]>) {
        let path = base.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A kernel whose `ext4` asks for an alias that two modules have, and whose `nvme` names firmware.
    fn base() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let nvme =
            sample(&["firmware=nvme.fw", "firmware=link.fw", "firmware=gone.fw", "firmware=../../../etc/shadow"]);
        for (path, bytes) in [
            ("ext4.ko.zst", zstd::bulk::compress(&sample(&["softdep=pre: crypto-crc32c"]), 1).unwrap()),
            ("crc32c-generic.ko", sample(&["alias=crypto-crc32c"])),
            ("crc32c-intel.ko", sample(&["alias=crypto-crc32c"])),
            ("nvme.ko", nvme),
            ("other.ko", sample(&["firmware=other.fw"])),
            ("data.ko", sample(&[])),
        ] {
            put(dir.path(), &format!("{KERNEL}/kernel/{path}"), bytes);
        }
        for (path, text) in [
            (
                "modules.dep",
                "kernel/ext4.ko.zst:\nkernel/crc32c-generic.ko:\nkernel/crc32c-intel.ko:\nkernel/nvme.ko:\nkernel/other.ko:\n\
                 kernel/data.ko:\n",
            ),
            (
                "modules.alias",
                "alias crypto-crc32c crc32c_generic\nalias crypto-crc32c crc32c_intel\nalias pci:v1d* nvme\nalias x other\n",
            ),
            ("modules.symbols", "alias symbol:table data\n"),
            ("modules.softdep", "softdep ext4 pre: crypto-crc32c\nsoftdep other pre: nvme\n"),
            ("modules.builtin", "kernel/usbhid.ko\n"),
            ("modules.builtin.modinfo", "usbhid.firmware=usb/hid.fw\0"),
        ] {
            put(dir.path(), &format!("{KERNEL}/{path}"), text);
        }
        for path in ["nvme.fw.xz", "real/deep.fw", "usb/hid.fw", "other.fw"] {
            put(dir.path(), &format!("usr/lib/firmware/{path}"), path);
        }
        put(dir.path(), "etc/shadow", "root:secret");
        symlink("real", dir.path().join("usr/lib/firmware/folder")).unwrap();
        symlink("folder/deep.fw", dir.path().join("usr/lib/firmware/link.fw")).unwrap();
        dir
    }

    fn archive(base: &Path, wanted: &Wanted) -> Result<Archive, SystemError> {
        let mut initrd = Initrd { base, archive: Archive::default() };
        initrd.modules("6.0", wanted)?;
        Ok(initrd.archive)
    }

    fn named(hardware: Option<&[&str]>, more: &[&str]) -> Wanted {
        let list = |names: &[&str]| names.iter().map(|n| (format!("/{n}"), n.to_string())).collect();
        let modules = WantedModules { hardware: hardware.map(list), more: list(more) };
        Wanted { modules, ..Wanted::default() }
    }

    /// The paths below `usr/lib` that an archive has, without the indices.
    fn held(archive: &Archive) -> Vec<&str> {
        let paths = archive.iter().map(|(path, _)| path).filter(|p| !p.contains("/modules."));
        paths.map(|p| p.strip_prefix("usr/lib/").unwrap()).collect()
    }

    #[test]
    fn an_initrd_for_any_machine_has_what_its_root_and_its_disks_ask_for_and_their_firmware() {
        let base = base();
        let archive = archive(base.path(), &Wanted::default()).unwrap();
        assert_eq!(
            held(&archive),
            [
                "firmware/link.fw",
                "firmware/nvme.fw.xz",
                "firmware/real/deep.fw",
                "firmware/usb/hid.fw",
                "modules/6.0/kernel/crc32c-generic.ko",
                "modules/6.0/kernel/crc32c-intel.ko",
                "modules/6.0/kernel/ext4.ko",
                "modules/6.0/kernel/nvme.ko",
            ]
        );
        let entry = |path: &str| archive.iter().find(|(p, _)| *p == format!("usr/lib/firmware/{path}")).unwrap().1;
        assert_eq!(*entry("link.fw"), Entry::Link("/usr/lib/firmware/real/deep.fw".into()));
        assert_eq!(*entry("real/deep.fw"), Entry::File(b"real/deep.fw".to_vec(), false));
    }

    #[test]
    fn an_initrd_for_one_machine_has_what_was_named_by_name_or_alias() {
        let base = base();
        let archive = archive(base.path(), &named(Some(&["usbhid"]), &["x", "symbol:table"])).unwrap();
        let held = held(&archive);
        for there in
            ["firmware/usb/hid.fw", "firmware/other.fw", "modules/6.0/kernel/other.ko", "modules/6.0/kernel/data.ko"]
        {
            assert!(held.contains(&there), "{there}: {held:?}");
        }
        assert!(held.contains(&"modules/6.0/kernel/nvme.ko"), "the other one asks for it: {held:?}");
        let without = self::archive(base.path(), &named(Some(&["usbhid"]), &[])).unwrap();
        assert!(!self::held(&without).contains(&"modules/6.0/kernel/nvme.ko"));
    }

    #[test]
    fn a_module_that_somebody_names_and_no_kernel_has_is_told() {
        let base = base();
        for wanted in [named(Some(&["nvmee"]), &[]), named(None, &["nvmee"])] {
            let error = archive(base.path(), &wanted).unwrap_err();
            assert_eq!(error.pointer(), Some("/nvmee"));
            assert!(error.help().unwrap().ends_with("did you mean nvme?"), "{:?}", error.help());
            assert_eq!(error.to_string(), "the kernel 6.0 has no module nvmee");
        }
    }

    #[test]
    fn a_module_of_another_kernel_in_a_hardware_file_is_told_with_what_to_do() {
        let base = base();
        let help = |wanted| archive(base.path(), &wanted).unwrap_err().help().map(str::to_string);
        assert!(help(named(Some(&["megaraid_sas"]), &[])).unwrap().contains("linux-image-amd64"));
        assert_eq!(help(named(None, &["megaraid_sas"])), None, "who writes a machine file knows why");
    }

    #[test]
    fn a_base_whose_modules_are_not_whole_is_refused() {
        let cases: [(&str, &[u8], &str); 4] = [
            ("kernel/ext4.ko.zst", b"", "ext4.ko.zst is not a kernel module"),
            ("kernel/crc32c-intel.ko", b"\x1f\x8b\x08", "crc32c-intel.ko is not a kernel module"),
            ("modules.dep", b"kernel/ext4.ko.zst: kernel/gone.ko\n", "has no usr/lib/modules/6.0/kernel/gone.ko"),
            ("modules.dep", b"../../../../etc/ext4.ko:\n", "has no usr/lib/modules/6.0/../../../../etc/ext4.ko"),
        ];
        for (path, bytes, words) in cases {
            let base = base();
            put(base.path(), "etc/ext4.ko", sample(&[]));
            put(base.path(), &format!("{KERNEL}/{path}"), bytes);
            let error = archive(base.path(), &Wanted::default()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    /// depmod and modprobe, where they are installed, have the last word: what modprobe would load in the base for the root's
    /// file system it would load in the initrd too.
    #[test]
    fn modprobe_loads_in_the_initrd_what_it_loads_in_the_base() {
        if ["depmod", "modprobe"].iter().any(|tool| cairn_process::find(tool).is_none()) {
            cairn_testkit::skip("kmod is not installed");
            return;
        }
        let base = tempfile::tempdir().unwrap();
        // Not the names of real modules: modprobe leaves out what the running kernel has.
        for (name, info) in [
            ("cairn-fs", &["softdep=pre: cairn-hash post: cairn_late", "alias=fs-cairn"][..]),
            ("cairn-hash-plain", &["alias=cairn-hash"]),
            ("cairn_hash_quick", &["alias=cairn-hash"]),
            ("cairn_late", &[]),
            ("cairn-other", &[]),
        ] {
            put(base.path(), &format!("{KERNEL}/kernel/{name}.ko"), sample(info));
        }
        symlink("usr/lib", base.path().join("lib")).unwrap();
        let depmod = Tool::new("depmod", "kmod", "make a kernel's folder");
        depmod.arg("--basedir").arg(base.path()).arg("6.0").run().unwrap();
        let initrd = tempfile::tempdir().unwrap();
        symlink("usr/lib", initrd.path().join("lib")).unwrap();
        for (path, entry) in archive(base.path(), &named(None, &["fs-cairn"])).unwrap().iter() {
            let Entry::File(bytes, _) = entry else { panic!("{path} is no file") };
            put(initrd.path(), path, bytes);
        }
        let loads = |root: &Path| {
            let tool = Tool::new("modprobe", "kmod", "ask what is loaded");
            let tool = tool.args(["--show-depends", "--set-version", "6.0", "--dirname"]).arg(root).arg("fs-cairn");
            let said = String::from_utf8(tool.output().unwrap()).unwrap();
            said.lines().map(|l| l.rsplit('/').next().unwrap().trim().to_string()).collect::<Vec<_>>()
        };
        let in_base = loads(base.path());
        assert_eq!(in_base.len(), 4, "{in_base:?}");
        assert_eq!(loads(initrd.path()), in_base);
    }
}
