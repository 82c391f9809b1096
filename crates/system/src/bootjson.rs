//! The bootspec of a system: `boot.json`, version 1 (NixOS RFC 125).
//!
//! It may come from anybody's disk, and what it names is read, and copied to where the machine boots from. So each path in
//! it is one into the store and nowhere else, or it is no bootspec.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use bootspec::generation::Generation;
use bootspec::v1::{BootSpecV1, GenerationV1};
use bootspec::{BootJson, Extensions, SystemConfigurationRoot};
use cairn_root::{Root, read_plain};
use cairn_store::{STORE_DIR, StorePath};
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

/// More than any bootspec has, its variants' included.
pub const MOST: u64 = 1 << 20;

/// Reads a system's boot.json with what it says of the system's variants; `toplevel` is in the caller's own store.
///
/// # Errors
/// When it is missing or is none.
pub fn read_all(toplevel: &Path) -> Result<Bootspecs, SystemError> {
    let path = toplevel.join(bootspec::JSON_FILENAME);
    let bytes = read_plain(&path, MOST).map_err(SystemError::io("reading", &path))?;
    parse(&bytes, &path)
}

/// The same of a system on a machine that may be anybody's.
///
/// # Errors
/// As [`read_all`].
pub fn read_all_of(machine: &Root, toplevel: &str) -> Result<Bootspecs, SystemError> {
    let path = format!("{toplevel}/{}", bootspec::JSON_FILENAME);
    let bytes = machine.read(&path, MOST).and_then(|bytes| bytes.ok_or_else(|| ErrorKind::NotFound.into()));
    let path = machine.shown(path);
    parse(&bytes.map_err(SystemError::io("reading", &path))?, &path)
}

/// The same of a text; messages call it by its path.
///
/// # Errors
/// When it is none: also when it names anything outside of the store.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Bootspecs, SystemError> {
    let malformed = || SystemError::Malformed { path: path.to_path_buf(), what: "a bootspec of version 1" };
    if bytes.len() as u64 > MOST {
        return Err(malformed());
    }
    let document: BootJson = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    let generation = GenerationV1::try_from(document.generation).map_err(|_| malformed())?;
    // A variant has none of its own.
    let variants = generation
        .specialisations
        .into_iter()
        .map(|(name, variant)| (name.0, bootable(variant.generation.bootspec, &variant.extensions)));
    let found = Bootspecs { variants: variants.collect(), system: bootable(generation.bootspec, &document.extensions) };
    for one in std::iter::once(&found.system).chain(found.variants.values()) {
        let BootSpecV1 { kernel, initrd, init, toplevel, .. } = &one.bootspec;
        let named = [("kernel", Some(kernel)), ("initrd", initrd.as_ref()), ("init", Some(init))];
        let others = [("toplevel", Some(&toplevel.0)), ("devicetree", one.device_tree.as_ref())];
        for (what, value) in named.into_iter().chain(others) {
            if let Some(value) = value.filter(|value| !is_in_store(value)) {
                let value = value.to_string_lossy().escape_debug().to_string();
                return Err(SystemError::NotInStore { path: path.to_path_buf(), what, value });
            }
        }
    }
    Ok(found)
}

/// Whether this is a store path or a place in one, spelt plainly: `/nix/store/HASH-NAME/a/b`.
fn is_in_store(path: &Path) -> bool {
    let Some(rest) = path.to_str().and_then(|path| path.strip_prefix(STORE_DIR)?.strip_prefix('/')) else {
        return false;
    };
    let mut parts = rest.split('/');
    let plain = |part: &str| {
        // What a path leaves out when it is taken apart (an empty part, `.`) is not plain either.
        Path::new(part).components().eq([Component::Normal(part.as_ref())]) && !part.contains(char::is_control)
    };
    parts.next().is_some_and(|name| StorePath::from_basename(name).is_ok()) && parts.all(plain)
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

    /// A store path with this letter in its hash.
    fn in_store(name: &str) -> String {
        format!("/nix/store/{}-{name}", name[..1].repeat(32))
    }

    #[test]
    fn the_text_has_sorted_keys_and_no_nulls_and_is_read_back() {
        let [system, base, initrd] = ["x-system", "b-base", "i-initrd"].map(in_store);
        let files = Files {
            toplevel: system.clone(),
            kernel: format!("{base}/boot/vmlinuz"),
            initrd: format!("{initrd}/initrd"),
            kernel_params: vec!["root=UUID=1".into(), "rw".into()],
            label: "Debian".into(),
            system: "x86_64-linux".into(),
            device_tree: None,
        };
        let plain = text(&files).unwrap();
        assert_eq!(
            plain,
            format!(
                r#"{{
  "org.nixos.bootspec.v1": {{
    "init": "{system}/init",
    "initrd": "{initrd}/initrd",
    "kernel": "{base}/boot/vmlinuz",
    "kernelParams": [
      "root=UUID=1",
      "rw"
    ],
    "label": "Debian",
    "system": "x86_64-linux",
    "toplevel": "{system}"
  }},
  "org.nixos.specialisation.v1": {{}}
}}
"#
            )
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("boot.json"), plain).unwrap();
        assert_eq!(read_all(dir.path()).unwrap().system.bootspec.init, Path::new(&system).join("init"));

        let tree = format!("{system}/devicetree.dtb");
        let with_tree = text(&Files { device_tree: Some(tree.clone()), ..files }).unwrap();
        fs::write(dir.path().join("boot.json"), with_tree).unwrap();
        assert_eq!(read_all(dir.path()).unwrap().system.device_tree.as_deref(), Some(Path::new(&tree)));
    }

    #[test]
    fn variants_are_read_as_nixos_writes_them() {
        let one = |top: &str| {
            format!(
                r#"{{"system":"x86_64-linux","init":"{top}/init","initrd":"{}/initrd","kernel":"{}/bzImage","kernelParams":["loglevel=4"],"label":"NixOS 25.11 (Linux 6.12)","toplevel":"{top}"}}"#,
                in_store("i"),
                in_store("k")
            )
        };
        let [a, b, d] = ["a", "b", "d"].map(in_store);
        let text = format!(
            r#"{{"org.nixos.bootspec.v1": {}, "org.nixos.specialisation.v1": {{"text": {{"org.nixos.bootspec.v1": {}, "org.nixos.specialisation.v1": {{}}, "org.nixos.systemd-boot": {{"sortKey": "nixos", "devicetree": "{d}/b.dtb"}}}}}}}}"#,
            one(&a),
            one(&b)
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("boot.json"), text).unwrap();
        let Bootspecs { system, variants } = read_all(dir.path()).unwrap();
        assert_eq!((system.bootspec.init.as_path(), system.device_tree), (Path::new(&a).join("init").as_path(), None));
        assert_eq!(variants.keys().collect::<Vec<_>>(), ["text"]);
        assert_eq!(variants["text"].bootspec.init, Path::new(&b).join("init"));
        assert_eq!(variants["text"].device_tree, Some(Path::new(&d).join("b.dtb")));
    }

    #[test]
    fn what_names_anything_but_the_store_is_no_bootspec() {
        let [top, other] = ["x-system", "b-base"].map(in_store);
        let whole = |key: &str, value: &str| {
            let mut spec = json!({
                "system": "x86_64-linux", "init": format!("{top}/init"), "initrd": format!("{other}/initrd"),
                "kernel": format!("{other}/boot/vmlinuz"), "kernelParams": [], "label": "x", "toplevel": top,
            });
            let mut document = json!({ "org.nixos.specialisation.v1": {} });
            if key == "devicetree" {
                document[SYSTEMD_BOOT] = json!({ "devicetree": value });
            } else if !key.is_empty() {
                spec[key] = value.into();
            }
            document["org.nixos.bootspec.v1"] = spec.clone();
            // The same as a variant of a sound one.
            let mut variant = document.clone();
            variant["org.nixos.specialisation.v1"] = json!({ "v": document });
            if !key.is_empty() && key != "devicetree" {
                variant["org.nixos.bootspec.v1"][key] = top.clone().into();
            }
            if let Some(map) = variant.as_object_mut() {
                map.remove(SYSTEMD_BOOT);
            }
            [document, variant].map(|json| parse(json.to_string().as_bytes(), Path::new("boot.json")))
        };
        assert!(whole("", "").iter().all(Result::is_ok));
        assert!(whole("kernel", &other).iter().all(Result::is_ok));
        for key in ["kernel", "initrd", "init", "toplevel", "devicetree"] {
            for bad in [
                "/etc/shadow".to_string(),
                "/nix/store/../../../etc/shadow".into(),
                format!("{other}/../../../etc/shadow"),
                format!("{other}/a/./b"),
                format!("{other}//b"),
                format!("{other}/"),
                format!("{other}/a\nb"),
                "/nix/store/short-name/x".into(),
                "/nix/store/".into(),
                format!("/nix/store//{}", &other["/nix/store/".len()..]),
                "kernel".into(),
                String::new(),
            ] {
                for found in whole(key, &bad) {
                    let error = found.unwrap_err().to_string();
                    assert!(error.starts_with("boot.json names ") && error.contains(key), "{key} {bad}: {error}");
                }
            }
        }
        let long = " ".repeat(usize::try_from(MOST).unwrap() + 1);
        assert!(matches!(parse(long.as_bytes(), Path::new("boot.json")), Err(SystemError::Malformed { .. })));
    }
}
