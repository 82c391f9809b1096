//! The bootspec of a system: `boot.json`, version 1 (NixOS RFC 125).

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bootspec::generation::Generation;
use bootspec::v1::{BootSpecV1, GenerationV1};
use bootspec::{BootJson, Extensions, SystemConfigurationRoot};
use cairn_root::{Root, read_plain};
use cairn_store::STORE_DIR;
use serde_json::{Map, Value, json};

use crate::error::SystemError;

/// What a boot.json says. Paths are absolute, in the running machine's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The system's path.
    pub toplevel: String,
    /// The kernel.
    pub kernel: String,
    /// The initrd.
    pub initrd: String,
    /// The kernel's command line without `init=`.
    pub kernel_params: Vec<String>,
    /// What a menu calls the system.
    pub label: String,
    /// The platform in Nix's words.
    pub system: String,
    /// The device tree, if there is one.
    pub device_tree: Option<String>,
}

/// What NixOS's builder of systemd-boot's entries reads besides the bootspec: `devicetree` is a path, or is not there.
const SYSTEMD_BOOT: &str = "org.nixos.systemd-boot";

/// The file's text: keys sorted, no nulls (the schema that NixOS has for it allows none).
///
/// # Errors
/// None that can be met; the signature leaves it to the crate that knows the format.
pub fn text(files: &Files) -> Result<String, SystemError> {
    let bootspec = BootSpecV1 {
        label: files.label.clone(),
        kernel: files.kernel.clone().into(),
        kernel_params: files.kernel_params.clone(),
        init: format!("{}/init", files.toplevel).into(),
        initrd: Some(files.initrd.clone().into()),
        initrd_secrets: None,
        system: files.system.clone(),
        toplevel: SystemConfigurationRoot(files.toplevel.clone().into()),
    };
    let generation = Generation::V1(GenerationV1 { bootspec, specialisations: HashMap::new() });
    let device_tree = files.device_tree.iter().map(|path| (SYSTEMD_BOOT.into(), json!({ "devicetree": path })));
    let document = BootJson { generation, extensions: device_tree.collect() };
    let io = |e: serde_json::Error| SystemError::io("writing", "boot.json")(e.into());
    let value = serde_json::to_value(&document).map_err(io)?;
    Ok(serde_json::to_string_pretty(&canonical(value)).map_err(io)? + "\n")
}

/// What a boot.json says of a system or of one of its variants.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootable {
    /// The bootspec.
    pub bootspec: BootSpecV1,
    /// Where its device tree is, if it has one (`org.nixos.systemd-boot`).
    pub device_tree: Option<PathBuf>,
}

/// All that a boot.json says.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootspecs {
    /// The system.
    pub system: Bootable,
    /// Its variants by their names (`org.nixos.specialisation.v1`).
    pub variants: BTreeMap<String, Bootable>,
}

impl Bootspecs {
    /// The files of the store that the boot partition needs for it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let all = std::iter::once(&self.system).chain(self.variants.values());
        all.flat_map(|one| {
            let more = one.bootspec.initrd.iter().chain(&one.device_tree);
            std::iter::once(&one.bootspec.kernel).chain(more).map(PathBuf::as_path)
        })
    }
}

/// Longer ones are nobody's.
const MOST: u64 = 1 << 20;

/// Reads a system's boot.json with what it says of the system's variants; `toplevel` is in the caller's own store.
///
/// # Errors
/// When it is missing or is none.
pub fn read_all(toplevel: &Path) -> Result<Bootspecs, SystemError> {
    let path = toplevel.join(bootspec::JSON_FILENAME);
    let bytes = read_plain(&path, MOST).map_err(SystemError::io("reading", &path))?;
    parse(&bytes, path)
}

/// The same of a system on a machine that may be anybody's.
///
/// # Errors
/// As [`read_all`].
pub fn read_all_of(machine: &Root, toplevel: &str) -> Result<Bootspecs, SystemError> {
    let path = format!("{toplevel}/{}", bootspec::JSON_FILENAME);
    let bytes = machine.read(&path, MOST).and_then(|bytes| bytes.ok_or_else(|| ErrorKind::NotFound.into()));
    let path = machine.shown(path);
    parse(&bytes.map_err(SystemError::io("reading", &path))?, path)
}

fn parse(bytes: &[u8], path: PathBuf) -> Result<Bootspecs, SystemError> {
    let malformed = |what| SystemError::Malformed { path: path.clone(), what };
    let no_bootspec = || malformed("a bootspec of version 1");
    let document: BootJson = serde_json::from_slice(bytes).map_err(|_| no_bootspec())?;
    let generation = GenerationV1::try_from(document.generation).map_err(|_| no_bootspec())?;
    // A variant has none of its own.
    let variants = generation
        .specialisations
        .into_iter()
        .map(|(name, variant)| (name.0, bootable(variant.generation.bootspec, &variant.extensions)));
    let specs = Bootspecs { variants: variants.collect(), system: bootable(generation.bootspec, &document.extensions) };
    if !specs.files().all(is_in_a_store_path) {
        return Err(malformed("a bootspec whose kernel, initrd and device tree are files of store paths"));
    }
    Ok(specs)
}

/// Whether a path is `/nix/store/NAME/...`, without any detour: whoever reads the file would follow it.
fn is_in_a_store_path(path: &Path) -> bool {
    let inside = path.to_str().and_then(|path| path.strip_prefix(STORE_DIR)?.strip_prefix('/'));
    inside.is_some_and(|inside| inside.contains('/') && inside.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

fn bootable(bootspec: BootSpecV1, extensions: &Extensions) -> Bootable {
    let device_tree = extensions.get(SYSTEMD_BOOT).and_then(|more| more.get("devicetree")?.as_str());
    Bootable { bootspec, device_tree: device_tree.map(PathBuf::from) }
}

/// The same value with sorted keys and without nulls, whatever features serde_json was built with.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().filter(|(_, v)| !v.is_null()).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().map(|(k, v)| (k, canonical(v))).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(canonical).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_text_has_sorted_keys_and_no_nulls_and_is_read_back() {
        let files = Files {
            toplevel: "/nix/store/x-system".into(),
            kernel: "/nix/store/b-base/boot/vmlinuz".into(),
            initrd: "/nix/store/i-initrd/initrd".into(),
            kernel_params: vec!["root=UUID=1".into(), "rw".into()],
            label: "Debian".into(),
            system: "x86_64-linux".into(),
            device_tree: None,
        };
        let plain = text(&files).unwrap();
        assert_eq!(
            plain,
            r#"{
  "org.nixos.bootspec.v1": {
    "init": "/nix/store/x-system/init",
    "initrd": "/nix/store/i-initrd/initrd",
    "kernel": "/nix/store/b-base/boot/vmlinuz",
    "kernelParams": [
      "root=UUID=1",
      "rw"
    ],
    "label": "Debian",
    "system": "x86_64-linux",
    "toplevel": "/nix/store/x-system"
  },
  "org.nixos.specialisation.v1": {}
}
"#
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("boot.json"), plain).unwrap();
        assert_eq!(read_all(dir.path()).unwrap().system.bootspec.init, Path::new("/nix/store/x-system/init"));

        let tree = "/nix/store/x-system/devicetree.dtb";
        let with_tree = text(&Files { device_tree: Some(tree.into()), ..files }).unwrap();
        fs::write(dir.path().join("boot.json"), with_tree).unwrap();
        assert_eq!(read_all(dir.path()).unwrap().system.device_tree.as_deref(), Some(Path::new(tree)));
    }

    #[test]
    fn variants_are_read_as_nixos_writes_them() {
        let one = |top: &str| {
            format!(
                r#"{{"system":"x86_64-linux","init":"{top}/init","initrd":"/nix/store/i/initrd","kernel":"/nix/store/k/bzImage","kernelParams":["loglevel=4"],"label":"NixOS 25.11 (Linux 6.12)","toplevel":"{top}"}}"#
            )
        };
        let text = format!(
            r#"{{"org.nixos.bootspec.v1": {}, "org.nixos.specialisation.v1": {{"text": {{"org.nixos.bootspec.v1": {}, "org.nixos.specialisation.v1": {{}}, "org.nixos.systemd-boot": {{"sortKey": "nixos", "devicetree": "/nix/store/d/b.dtb"}}}}}}}}"#,
            one("/nix/store/a"),
            one("/nix/store/b")
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("boot.json"), text).unwrap();
        let Bootspecs { system, variants } = read_all(dir.path()).unwrap();
        assert_eq!((system.bootspec.init.as_path(), system.device_tree), (Path::new("/nix/store/a/init"), None));
        assert_eq!(variants.keys().collect::<Vec<_>>(), ["text"]);
        assert_eq!(variants["text"].bootspec.init, Path::new("/nix/store/b/init"));
        assert_eq!(variants["text"].device_tree.as_deref(), Some(Path::new("/nix/store/d/b.dtb")));
    }

    #[test]
    fn a_bootspec_names_files_of_store_paths_only() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Root::open(dir.path()).unwrap();
        let read = |kernel: &str, initrd: &str, tree: Option<&str>| {
            let files = Files {
                toplevel: "/nix/store/x-system".into(),
                kernel: kernel.into(),
                initrd: initrd.into(),
                kernel_params: Vec::new(),
                label: "Debian".into(),
                system: "x86_64-linux".into(),
                device_tree: tree.map(Into::into),
            };
            fs::write(dir.path().join("boot.json"), text(&files).unwrap()).unwrap();
            (read_all(dir.path()).is_ok(), read_all_of(&machine, "/").is_ok())
        };
        let good = "/nix/store/b-base/boot/vmlinuz";
        assert_eq!(read(good, good, Some(good)), (true, true));
        for bad in [
            "/etc/shadow",
            "/nix/store/../../etc/shadow",
            "/nix/store/b/../../../etc/shadow",
            "/nix/store/b/./x",
            "/nix/store/b//x",
            "/nix/store//x",
            "/nix/store/b",
            "/nix/store/b/",
            "/nix/storeb/x",
            "nix/store/b/x",
            "",
        ] {
            assert_eq!(read(bad, good, None), (false, false), "{bad}");
            assert_eq!(read(good, bad, None), (false, false), "{bad}");
            assert_eq!(read(good, good, Some(bad)), (false, false), "{bad}");
        }
    }
}
