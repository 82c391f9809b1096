//! The bootspec of a system is written here: `boot.json`, version 1 (NixOS RFC 125). `cairn_boot::bootspec` reads it.

use std::collections::HashMap;

use bootspec::generation::Generation;
use bootspec::v1::{BootSpecV1, GenerationV1};
use bootspec::{BootJson, SystemConfigurationRoot};
use cairn_boot::bootspec::SYSTEMD_BOOT;
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
    use std::path::Path;

    use cairn_boot::bootspec::parse;

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
        let read = |text: String| parse(text.as_bytes(), Path::new("boot.json")).unwrap().system;
        assert_eq!(read(plain).bootspec.init, Path::new(&system).join("init"));

        let tree = format!("{system}/devicetree.dtb");
        let with_tree = text(&Files { device_tree: Some(tree.clone()), ..files }).unwrap();
        assert_eq!(read(with_tree).device_tree.as_deref(), Some(Path::new(&tree)));
    }
}
