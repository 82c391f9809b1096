//! After every step: other people's programs, inside of the machine, see what Cairn says.

use anyhow::{Context, Result, ensure};
use qemu_tests::Guest;
use qemu_tests::generations::Kind;
use serde_json::Value;

/// A generation, as `cairn generations --json` has it.
pub struct Generation {
    pub number: u64,
    json: Value,
}

impl Generation {
    pub fn is(&self, mark: &str) -> bool {
        self.json[mark] == true
    }
}

/// What `cairn generations` says.
pub fn listed(guest: &mut Guest) -> Result<Vec<Generation>> {
    let text = guest.run("cairn generations --json")?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
    let list = json["generations"].as_array().with_context(|| format!("no generations in {text}"))?;
    let one = |json: &Value| {
        let number = json["number"].as_u64().with_context(|| format!("no number in {json}"))?;
        Ok(Generation { number, json: json.clone() })
    };
    list.iter().map(one).collect()
}

/// The one generation with a mark.
pub fn marked(guest: &mut Guest, mark: &str) -> Result<u64> {
    let all = listed(guest)?;
    let mut which = all.iter().filter(|g| g.is(mark)).map(|g| g.number);
    which.next().with_context(|| format!("no generation is {mark}"))
}

/// The boot partition is as it should be, its file system and the loader's files are sound, and a real Nix has the same
/// generations and knows of the same store paths.
pub fn check(guest: &mut Guest, kind: Kind) -> Result<()> {
    guest.run("cairn boot check")?;
    let all = listed(guest)?;
    let ours: Vec<u64> = all.iter().map(|g| g.number).collect();
    let next = all.iter().find(|g| g.is("trial")).or_else(|| all.iter().find(|g| g.is("default")));
    let next = next.context("nothing is booted next")?.number.to_string();

    if kind.grub() {
        guest.run("for f in /boot/cairn/*/grub/*.cfg; do grub-script-check $f || exit 1; done")?;
    } else {
        let text = guest.run("bootctl list --no-pager --json=short")?;
        let json: Value = serde_json::from_str(&text).with_context(|| format!("bootctl says {text}"))?;
        let entries = json.as_array().context("no list")?;
        let cairns = |e: &&Value| e["type"] == "type1" && e["id"].as_str().is_some_and(|id| id.starts_with("cairn-"));
        let theirs: Vec<&Value> = entries.iter().filter(cairns).collect();
        ensure!(theirs.len() == ours.len(), "bootctl lists other entries than {ours:?}: {text}");
        let first = theirs.iter().find(|e| e["isDefault"] == true).context("bootctl knows no default")?;
        ensure!(first["version"] == *next, "{next} is next, but bootctl says {first}");
        let with_tree = |e: &&Value| e["devicetree"].as_str().is_some_and(|path| path.ends_with("-devicetree.dtb"));
        ensure!(theirs.iter().all(with_tree), "bootctl sees entries without a device tree: {text}");
    }

    let device = guest.run("ls /boot >/dev/null && findmnt -no SOURCE -t vfat /boot")?;
    guest.run(&format!("umount /boot && fsck.fat -n {}", device.trim()))?;

    guest.run("nix-store --verify")?;
    let text = guest.run("nix-env -p /nix/var/nix/profiles/system --list-generations")?;
    let theirs: Vec<u64> = text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    ensure!(theirs == ours, "Nix lists {theirs:?}, and cairn {ours:?}");
    Ok(())
}

/// The same, and a real Nix has read every file of the store: a minute of an emulated processor, so not after
/// each step, but before generations are collected and at the end.
pub fn check_all(guest: &mut Guest, kind: Kind) -> Result<()> {
    check(guest, kind)?;
    guest.run("nix-store --verify --check-contents").map(drop)
}
