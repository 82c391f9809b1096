//! The bill of materials of a machine: CycloneDX 1.6, in JSON.

use cairn_machine::model::Machine;
use serde_json::{Value, json};
use uuid::Uuid;

use super::packages::Package;
use crate::program::Carried;

/// Every package with version, hash and package URL, and the `cairn` program that the machine carries, as the text of a
/// CycloneDX 1.6 file.
///
/// The same packages for the same machine give the same bytes: there is no time in it, and the serial number is made
/// from the contents (UUIDv5).
#[must_use]
pub fn cyclonedx(machine: &Machine, packages: &[Package], program: Option<&Carried>) -> String {
    let suite = &machine.source.debian().suite;
    let components: Vec<Value> = packages.iter().map(|p| component(p, suite)).chain(program.map(application)).collect();
    let refs: Vec<&Value> = components.iter().map(|c| &c["bom-ref"]).collect();
    let root = format!("machine:{}", machine.hostname);
    let mut bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": { "type": "operating-system", "bom-ref": root, "name": machine.hostname },
            "tools": { "components": [
                { "type": "application", "name": "cairn", "version": env!("CARGO_PKG_VERSION") },
            ] },
        },
        "components": components,
        "dependencies": [{ "ref": root, "dependsOn": refs }],
    });
    let serial = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("cairn:sbom:{bom}").as_bytes());
    bom["serialNumber"] = json!(serial.urn().to_string());
    format!("{bom:#}\n")
}

fn component(package: &Package, suite: &str) -> Value {
    let Package { name, version, architecture, source, source_version, sha256 } = package;
    let purl =
        format!("pkg:deb/debian/{}@{}?arch={architecture}&distro={}", encoded(name), encoded(version), encoded(suite));
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{ "alg": "SHA-256", "content": sha256 }],
        "properties": [
            { "name": "cairn:debian:source", "value": source },
            { "name": "cairn:debian:source-version", "value": source_version },
        ],
    })
}

/// The program, which no package of Debian brings.
fn application(program: &Carried) -> Value {
    let Carried { version, sha256, path } = program;
    let purl = format!("pkg:generic/cairn@{}", encoded(version));
    json!({
        "type": "application",
        "bom-ref": purl,
        "name": "cairn",
        "version": version,
        "purl": purl,
        "hashes": [{ "alg": "SHA-256", "content": sha256 }],
        "properties": [{ "name": "cairn:store-path", "value": path.to_string() }],
    })
}

/// Percent-encoding as package URLs want it: all but letters, digits, `.`, `-`, `_`, `~` and the colon.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(version: &str) -> String {
        let json = r#"{"version":1,"hostname":"m","source":{"debian":{}},"disks":{}}"#;
        let package = Package {
            name: "libstdc++6".into(),
            version: version.into(),
            architecture: "amd64".into(),
            source: "gcc-14".into(),
            source_version: "14.2.0-19".into(),
            sha256: "ab".repeat(32),
        };
        let path = cairn_store::StorePath::from_basename("0123456789abcdfghijklmnpqrsvwxyz-cairn-1.2").unwrap();
        let program = Carried { path, version: "1.2".into(), sha256: "cd".repeat(32) };
        cyclonedx(&serde_json::from_str(json).unwrap(), &[package], Some(&program))
    }

    #[test]
    fn a_package_has_its_url_and_hash() {
        let bom: Value = serde_json::from_str(&text("1:14.2.0-19+b1~x")).unwrap();
        let component = &bom["components"][0];
        assert_eq!(component["purl"], "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1~x?arch=amd64&distro=trixie");
        assert_eq!(component["hashes"][0]["content"], "ab".repeat(32));
        assert_eq!(bom["dependencies"][0]["dependsOn"][0], component["bom-ref"]);
        let cairn = &bom["components"][1];
        assert_eq!((&cairn["purl"], &cairn["type"]), (&json!("pkg:generic/cairn@1.2"), &json!("application")));
        assert_eq!(cairn["hashes"][0]["content"], "cd".repeat(32));
        assert_eq!(bom["dependencies"][0]["dependsOn"][1], cairn["bom-ref"]);
    }

    #[test]
    fn the_serial_number_follows_the_contents() {
        let serial = |text: &str| serde_json::from_str::<Value>(text).unwrap()["serialNumber"].clone();
        assert_eq!(text("1"), text("1"));
        assert_ne!(serial(&text("1")), serial(&text("2")));
        assert!(serial(&text("1")).as_str().unwrap().starts_with("urn:uuid:"));
    }
}
