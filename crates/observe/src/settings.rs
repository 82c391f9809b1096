//! How two machine files differ, key by key.

use serde::Serialize;
use serde_json::Value;

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its place: `services.enable`, `files."/etc/motd".text`.
    pub key: String,
    /// What it was; nothing for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is; nothing for one that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// The settings that differ, in the order of their keys. A list is one value; a mapping is looked into.
pub fn differences(old: &Value, new: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    compare("", Some(old), Some(new), &mut found);
    found
}

fn compare(key: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Setting>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                compare(&below(key, name), a.get(name), b.get(name), found);
            }
        }
        _ => found.push(Setting { key: key.to_string(), from: old.cloned(), to: new.cloned() }),
    }
}

/// A key below another. One that is no plain word is quoted, or nobody could tell its dots from ours.
fn below(key: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if plain { name.to_string() } else { Value::from(name).to_string() };
    if key.is_empty() { name } else { format!("{key}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_told_by_their_place() {
        let old = json!({"hostname": "a", "services": {"enable": ["ssh"]}, "files": {"/etc/x": {"text": "1"}}, "n": 1});
        let new = json!({"hostname": "b", "services": {"enable": ["ssh", "cron"]}, "files": {"/etc/y": {"text": "1"}}, "n": 1});
        let found = differences(&old, &new);
        let keys: Vec<&str> = found.iter().map(|s| s.key.as_str()).collect();
        assert_eq!(keys, ["files.\"/etc/x\"", "files.\"/etc/y\"", "hostname", "services.enable"]);
        assert_eq!((&found[0].to, &found[1].from), (&None, &None));
        assert_eq!(found[3].to, Some(json!(["ssh", "cron"])));
        assert!(differences(&old, &old).is_empty());
    }
}
