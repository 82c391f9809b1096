//! The bootspec of a system, as its `boot.json` says it: version 1 (NixOS RFC 125), with NixOS's extension for device trees. Pure.
//!
//! It may come from anybody's disk, and what it names is read, and copied to where the machine boots from. So each path in
//! it is one into the store and nowhere else, or it is no bootspec.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use bootspec::v1::{BootSpecV1, GenerationV1};
use bootspec::{BootJson, Extensions};
use nix_derivation::StorePath;

/// The file's name in a system.
pub const FILE: &str = bootspec::JSON_FILENAME;

/// What NixOS's builder of systemd-boot's entries reads besides the bootspec: `devicetree` is a path, or is not there.
pub const SYSTEMD_BOOT: &str = "org.nixos.systemd-boot";

/// Where every store path lies.
const STORE_DIR: &str = "/nix/store";

/// Why a file is no bootspec.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootspecError {
    /// It is something else.
    #[error("{} is not a bootspec of version 1", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It names what is not in the store.
    #[error("{} names '{value}' as its {what}, which is no path in the store: it is damaged or hostile", path.display())]
    NotInStore {
        /// The file.
        path: PathBuf,
        /// What it calls it.
        what: &'static str,
        /// What it says.
        value: String,
    },
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

/// Reads the bytes of a `boot.json`; messages call it by its path.
///
/// # Errors
/// When it is none: also when it names anything outside of the store.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Bootspecs, BootspecError> {
    let malformed = || BootspecError::Malformed { path: path.to_path_buf() };
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
                return Err(BootspecError::NotInStore { path: path.to_path_buf(), what, value });
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
    parts.next().is_some_and(|name| StorePath::from_basename(name.as_bytes()).is_ok()) && parts.all(plain)
}

fn bootable(bootspec: BootSpecV1, extensions: &Extensions) -> Bootable {
    let device_tree = extensions.get(SYSTEMD_BOOT).and_then(|more| more.get("devicetree")?.as_str());
    Bootable { bootspec, device_tree: device_tree.map(PathBuf::from) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A store path with this letter in its hash.
    fn in_store(name: &str) -> String {
        format!("/nix/store/{}-{name}", name[..1].repeat(32))
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
        let Bootspecs { system, variants } = parse(text.as_bytes(), Path::new("boot.json")).unwrap();
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
        assert!(matches!(parse(long.as_bytes(), Path::new("boot.json")), Err(BootspecError::Malformed { .. })));
    }
}
