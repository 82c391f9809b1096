//! The bootspec of a system: `boot.json`, version 1 (NixOS RFC 125).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use bootspec::generation::Generation;
use bootspec::v1::{BootSpecV1, GenerationV1};
use bootspec::{BootJson, SystemConfigurationRoot};
use serde_json::{Map, Value};

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
}

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
    let document = BootJson { generation, extensions: HashMap::new() };
    let io = |e: serde_json::Error| SystemError::io("writing", "boot.json")(e.into());
    let value = serde_json::to_value(&document).map_err(io)?;
    Ok(serde_json::to_string_pretty(&canonical(value)).map_err(io)? + "\n")
}

/// Reads a system's boot.json.
///
/// # Errors
/// When it is missing or is none.
pub fn read(toplevel: &Path) -> Result<BootSpecV1, SystemError> {
    Ok(read_all(toplevel)?.0)
}

/// The variants of a system by their names.
pub type Variants = BTreeMap<String, BootSpecV1>;

/// Reads a system's boot.json with what it says of the system's variants (`org.nixos.specialisation.v1`).
///
/// # Errors
/// When it is missing or is none.
pub fn read_all(toplevel: &Path) -> Result<(BootSpecV1, Variants), SystemError> {
    let path = toplevel.join(bootspec::JSON_FILENAME);
    let bytes = fs::read(&path).map_err(SystemError::io("reading", &path))?;
    let malformed = || SystemError::Malformed { path: path.clone(), what: "a bootspec of version 1" };
    let document: BootJson = serde_json::from_slice(&bytes).map_err(|_| malformed())?;
    let generation = GenerationV1::try_from(document.generation).map_err(|_| malformed())?;
    // A variant has none of its own.
    let variants = generation.specialisations.into_iter().map(|(name, variant)| (name.0, variant.generation.bootspec));
    Ok((generation.bootspec, variants.collect()))
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
        };
        let text = text(&files).unwrap();
        assert_eq!(
            text,
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
        fs::write(dir.path().join("boot.json"), text).unwrap();
        assert_eq!(read(dir.path()).unwrap().init, Path::new("/nix/store/x-system/init"));
    }

    #[test]
    fn variants_are_read_as_nixos_writes_them() {
        let one = |top: &str| {
            format!(
                r#"{{"system":"x86_64-linux","init":"{top}/init","initrd":"/nix/store/i/initrd","kernel":"/nix/store/k/bzImage","kernelParams":["loglevel=4"],"label":"NixOS 25.11 (Linux 6.12)","toplevel":"{top}"}}"#
            )
        };
        let text = format!(
            r#"{{"org.nixos.bootspec.v1": {}, "org.nixos.specialisation.v1": {{"text": {{"org.nixos.bootspec.v1": {}, "org.nixos.specialisation.v1": {{}}}}}}}}"#,
            one("/nix/store/a"),
            one("/nix/store/b")
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("boot.json"), text).unwrap();
        let (system, variants) = read_all(dir.path()).unwrap();
        assert_eq!(system.init, Path::new("/nix/store/a/init"));
        assert_eq!(variants.keys().collect::<Vec<_>>(), ["text"]);
        assert_eq!(variants["text"].init, Path::new("/nix/store/b/init"));
    }
}
