//! Which kernel modules an initrd holds: those asked for, by name or alias, and all that they depend on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::pattern::{is_pattern, matches, underscores};

/// What `depmod` and the kernel's own build wrote about its modules: the texts of the files of these names.
#[derive(Debug, Default)]
pub struct Texts {
    /// `modules.dep`: each module's file, and the files that it needs.
    pub dep: String,
    /// `modules.alias`: names and patterns of devices that lead to modules.
    pub alias: String,
    /// `modules.symbols`: modules by what they export, for those that ask so.
    pub symbols: String,
    /// `modules.softdep`: what is to be loaded before and after a module, if it is there.
    pub softdep: String,
    /// `modules.weakdep`: what a module may ask for later.
    pub weakdep: String,
    /// `modules.builtin`: the files that the modules would have that are built in.
    pub builtin: String,
    /// `modules.builtin.modinfo`: what these say about themselves, `NAME.KEY=VALUE`, each ended by a zero.
    pub builtin_modinfo: String,
}

/// The modules of a kernel.
#[derive(Debug, Default)]
pub struct Modules {
    /// Path (relative to the kernel's folder) by name.
    paths: BTreeMap<String, String>,
    /// What a module needs, wants before itself or after itself, or may ask for: names and aliases.
    needs: BTreeMap<String, BTreeSet<String>>,
    builtin: BTreeSet<String>,
    /// Modules and built-in ones by alias.
    aliases: BTreeMap<String, BTreeSet<String>>,
    /// Those whose alias has wildcards.
    patterns: Vec<(String, String)>,
    /// The firmware that built-in modules name.
    builtin_firmware: BTreeMap<String, Vec<String>>,
}

/// What the modules asked for come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Files, relative to the kernel's folder.
    pub files: BTreeSet<String>,
    /// Firmware that built-in modules among them name.
    pub firmware: BTreeSet<String>,
}

/// A module's name as the kernel has it: of its file, dashes as underscores.
pub fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    underscores(file.split('.').next().unwrap_or(file))
}

/// The path of a module's file without what compressed it.
pub fn plain(path: &str) -> &str {
    [".xz", ".zst", ".gz"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

impl Modules {
    /// From the files' texts.
    pub fn parse(texts: &Texts) -> Modules {
        let mut modules = Modules {
            builtin: texts.builtin.lines().map(str::trim).filter(|l| !l.is_empty()).map(name_of).collect(),
            ..Modules::default()
        };
        for line in texts.dep.lines() {
            let Some((path, needs)) = line.split_once(':') else { continue };
            modules.paths.insert(name_of(path), path.to_string());
            let needs: Vec<&str> = needs.split_ascii_whitespace().collect();
            modules.needs.entry(name_of(path)).or_default().extend(needs.iter().map(|n| name_of(n)));
            // Each has a line of its own; if not, its file is missed when it is copied, instead of never.
            for need in needs {
                modules.paths.entry(name_of(need)).or_insert_with(|| need.to_string());
            }
        }
        for line in texts.alias.lines().chain(texts.symbols.lines()) {
            if let ["alias", alias, module] = words(line)[..] {
                modules.alias(alias, module);
            }
        }
        for line in texts.softdep.lines().chain(texts.weakdep.lines()) {
            if let ["softdep" | "weakdep", module, wants @ ..] = &words(line)[..] {
                modules.wants(module, wants);
            }
        }
        for info in texts.builtin_modinfo.split('\0') {
            let Some(((module, key), value)) = info.split_once('=').and_then(|(k, v)| Some((k.split_once('.')?, v)))
            else {
                continue;
            };
            match key {
                "alias" => modules.alias(value, module),
                "softdep" | "weakdep" => modules.wants(module, &words(value)),
                "firmware" => modules.builtin_firmware.entry(underscores(module)).or_default().push(value.to_string()),
                _ => {}
            }
        }
        modules
    }

    fn alias(&mut self, alias: &str, module: &str) {
        let (alias, module) = (underscores(alias), underscores(module));
        if is_pattern(&alias) {
            self.patterns.push((alias, module));
        } else {
            self.aliases.entry(alias).or_default().insert(module);
        }
    }

    /// `wants` is `pre: A B post: C`, or names alone.
    fn wants(&mut self, module: &str, wants: &[&str]) {
        let names = wants.iter().filter(|w| !matches!(**w, "pre:" | "post:")).map(|w| underscores(w));
        self.needs.entry(underscores(module)).or_default().extend(names);
    }

    /// The modules, built in or not, that a name leads to, as libkmod looks it up: a module's own name is that module, any
    /// other is an alias of one or more. What is built in may stand beside modules that do the same: `crypto-crc32c` is a
    /// generic one and one for some processors.
    fn resolve(&self, name: &str) -> BTreeSet<&str> {
        if let Some((name, _)) = self.paths.get_key_value(name) {
            return BTreeSet::from([name.as_str()]);
        }
        let exact = self.aliases.get(name).into_iter().flatten();
        let wild = self.patterns.iter().filter(|(pattern, _)| matches(pattern, name)).map(|(_, module)| module);
        let found = exact.chain(wild).chain(self.builtin.get(name)).map(String::as_str);
        found.filter(|module| self.paths.contains_key(*module) || self.builtin.contains(*module)).collect()
    }

    /// True if the kernel has this module, as a file or built in; its alias will do.
    pub fn has(&self, name: &str) -> bool {
        !self.resolve(&underscores(name)).is_empty()
    }

    /// The modules, built in or not, that a name leads to: its own, or those that it is an alias of, such as what a device calls
    /// itself in its `modalias`.
    pub fn find(&self, name: &str) -> BTreeSet<&str> {
        self.resolve(&underscores(name))
    }

    /// A module's file, relative to the kernel's folder; none if it is built in, or not there.
    pub fn file(&self, name: &str) -> Option<&str> {
        self.paths.get(&underscores(name)).map(String::as_str)
    }

    /// The firmware that a module names which is built in.
    pub fn firmware_of_built_in(&self, name: &str) -> &[String] {
        self.builtin_firmware.get(&underscores(name)).map_or(&[], Vec::as_slice)
    }

    /// Every name, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().chain(&self.builtin).map(String::as_str)
    }

    /// The files of the given modules and of all that they need. Names that the kernel does not have are passed over.
    pub fn closure<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Closure {
        let mut waiting: Vec<String> = wanted.into_iter().map(underscores).collect();
        let (mut asked, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut closure = Closure::default();
        while let Some(name) = waiting.pop() {
            if !asked.insert(name.clone()) {
                continue;
            }
            for module in self.resolve(&name) {
                if !seen.insert(module) {
                    continue;
                }
                match self.paths.get(module) {
                    Some(path) => drop(closure.files.insert(path.clone())),
                    None => closure.firmware.extend(self.builtin_firmware.get(module).into_iter().flatten().cloned()),
                }
                waiting.extend(self.needs.get(module).into_iter().flatten().cloned());
            }
        }
        closure
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/a/virtio-blk.ko.xz: kernel/b/virtio.ko.xz
kernel/b/virtio.ko.xz:
kernel/c/crc.ko:
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/x86/crc32c-intel.ko.zst:
kernel/crypto/crc32c_generic.ko:
kernel/net/realtek.ko:
kernel/net/bus-dma.ko:
kernel/net/late.ko:
kernel/net/weak.ko:
kernel/net/net.ko:
kernel/lib/crc32-pclmul.ko:
kernel/lib/data.ko:
";

    fn modules() -> Modules {
        Modules::parse(&Texts {
            dep: DEP.into(),
            alias: "# comment\n\
                    alias crypto-crc32c crc32c_intel\n\
                    alias crypto-crc32c crc32c_generic\n\
                    alias fs-ext4 ext4\n\
                    alias crc32 crc32_pclmul\n\
                    alias pci:v000010ECd*sv* net\n\
                    alias platform:bus-dma* bus_dma\n\
                    alias dangling gone\n\
                    alias loop loop\n"
                .into(),
            symbols: "alias symbol:table data\n".into(),
            softdep: "# comment\n\
                      softdep virtio_blk pre: crc post: gone\n\
                      softdep ext4 pre: crypto-crc32c\n\
                      softdep net pre: realtek platform:bus-dma.1 post: late\n"
                .into(),
            weakdep: "# comment\nweakdep net weak\n".into(),
            builtin: "kernel/fs/xfs/xfs.ko\nkernel/lib/crc32.ko\nkernel/drivers/usb-host.ko\n".into(),
            builtin_modinfo: "xfs.softdep=pre: crypto-crc32c\0xfs.license=GPL\0xfs.alias=fs-xfs\0\
                              usb_host.firmware=usb.fw\0usb_host.firmware=usb2.fw\0usb_host.alias=pci:v1d*\0"
                .into(),
        })
    }

    fn held(wanted: &[&str]) -> Vec<String> {
        let files = modules().closure(wanted.iter().copied()).files;
        let names = files.iter().map(|f| f.rsplit('/').next().unwrap_or_default().to_string());
        names.collect()
    }

    #[test]
    fn a_module_brings_what_it_needs_hard_and_soft() {
        assert_eq!(held(&["virtio-blk", "nothing"]), ["virtio-blk.ko.xz", "virtio.ko.xz", "crc.ko"]);
        assert_eq!(held(&["net"]), ["bus-dma.ko", "late.ko", "net.ko", "realtek.ko", "weak.ko"]);
    }

    /// The fault that kept Debian's kernel for real hardware from mounting its root.
    #[test]
    fn a_soft_dependency_on_an_alias_brings_every_module_behind_it() {
        let crc = ["crc32c_generic.ko", "crc32c-intel.ko.zst"];
        assert_eq!(held(&["ext4"]), [crc[0], "ext4.ko.xz", "jbd2.ko.xz", crc[1]]);
        assert_eq!(held(&["fs-ext4"]), held(&["ext4"]), "by what mount asks for");
        assert_eq!(held(&["crypto_crc32c"]), crc, "dash or underscore");
        assert_eq!(held(&["crypto-crc32c"]), crc);
    }

    #[test]
    fn what_is_built_in_needs_no_file_and_brings_what_it_asks_for() {
        assert_eq!(held(&["usb-host"]), Vec::<String>::new());
        assert_eq!(held(&["xfs"]), ["crc32c_generic.ko", "crc32c-intel.ko.zst"]);
        assert_eq!(held(&["fs-xfs"]), held(&["xfs"]));
        assert_eq!(held(&["crc32"]), ["crc32-pclmul.ko"], "built in, and an alias of a module too");
        let firmware = modules().closure(["pci:v1d2"]).firmware;
        assert_eq!(firmware.iter().collect::<Vec<_>>(), ["usb.fw", "usb2.fw"]);
    }

    #[test]
    fn devices_and_symbols_lead_to_modules() {
        assert_eq!(held(&["pci:v000010ECd00008168sv0"]), held(&["net"]));
        assert_eq!(held(&["symbol:table"]), ["data.ko"]);
        for nothing in ["dangling", "loop", "pci:v000010EDd1sv1", ""] {
            assert_eq!(held(&[nothing]), Vec::<String>::new(), "{nothing}");
        }
    }

    #[test]
    fn a_module_without_a_line_of_its_own_is_not_passed_over() {
        let modules = Modules::parse(&Texts { dep: "a/one.ko: a/two.ko\n".into(), ..Texts::default() });
        assert_eq!(modules.closure(["one"]).files.iter().collect::<Vec<_>>(), ["a/one.ko", "a/two.ko"]);
    }

    #[test]
    fn built_in_and_aliased_count_as_there() {
        for name in ["ext4", "virtio-blk", "virtio_blk", "xfs", "fs-ext4", "fs_xfs", "crypto-crc32c", "usb-host"] {
            assert!(modules().has(name), "{name}");
        }
        for name in ["nothing", "dangling", "loop", "", "ext4.ko", "kernel/fs/ext4/ext4.ko.xz"] {
            assert!(!modules().has(name), "{name}");
        }
    }

    #[test]
    fn a_device_finds_its_module_and_a_module_its_file() {
        let modules = modules();
        assert_eq!(modules.find("pci:v000010ECd00008168sv0"), BTreeSet::from(["net"]));
        assert_eq!(modules.find("crypto-crc32c"), BTreeSet::from(["crc32c_generic", "crc32c_intel"]));
        assert_eq!(modules.file("virtio-blk"), Some("kernel/a/virtio-blk.ko.xz"));
        assert_eq!((modules.file("xfs"), modules.file("nothing")), (None, None));
        assert_eq!(modules.firmware_of_built_in("usb-host"), ["usb.fw", "usb2.fw"]);
    }
}
