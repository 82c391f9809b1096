//! NixOS: what it was made from is kept for a person to read, and what it is is named.

use super::Carried;
use super::seen::Seen;

/// Carries it over.
pub fn carry(seen: &Seen, to: &mut Carried) {
    let profile = "/nix/var/nix/profiles";
    let system = seen.links.get(&format!("{profile}/system"));
    let system = system.and_then(|link| seen.links.get(&format!("{profile}/{link}")));
    let running = seen.links.get("/run/current-system");
    for (what, path) in [("the system that runs", running), ("the system that boots", system)] {
        if let Some(path) = path.filter(|path| path.starts_with("/nix/store/")) {
            to.left("NixOS", format!("{what} is {path}; `nix-store --query --requisites` there lists its closure"));
        }
    }
    let files: Vec<(String, String)> =
        seen.texts_in("/etc/nixos", ".nix").map(|(path, text)| (path.to_string(), text.to_string())).collect();
    for (path, text) in files {
        let name = path.rsplit('/').next().unwrap_or_default();
        // It may have passwords in it.
        to.secret(&format!("nixos/{name}"), text.into_bytes());
        to.left("NixOS", format!("{path} is kept as nixos/{name}: nothing reads it, and it may hold secrets"));
    }
}
