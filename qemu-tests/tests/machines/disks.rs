//! What `cairn disks` says of a machine is what lsblk says of it.

use anyhow::{Context, Result, ensure};
use qemu_tests::generations::{self, File, SYSTEMD_BOOT};
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Scenario};
use serde_json::Value;

pub const SCENARIO: Scenario =
    Scenario { name: "the disks of a machine are those that lsblk knows, with the same on them", needs: UML, run };

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &File::named("disks"), folder.path())?;
    let mut guest = generations::start_uml(SYSTEMD_BOOT, &disk)?;
    let ours: Value = serde_json::from_str(&guest.run("cairn disks --json")?).context("reading cairn's answer")?;
    let asked = "lsblk --json --bytes --list --output KNAME,SIZE,FSTYPE,LABEL,UUID,PARTUUID,PARTLABEL,MOUNTPOINTS";
    let theirs: Value = serde_json::from_str(&guest.run(asked)?).context("reading lsblk's answer")?;
    let ours = ours["devices"].as_array().context("no list")?;
    let theirs: Vec<&Value> = theirs["blockdevices"].as_array().context("no list")?.iter().collect();
    // Memory is no disk of ours.
    let theirs: Vec<&&Value> =
        theirs.iter().filter(|one| !one["kname"].as_str().unwrap_or_default().starts_with("zram")).collect();
    ensure!(ours.len() == theirs.len() && ours.len() >= 3, "{ours:#?}\n{theirs:#?}");
    for one in theirs {
        let name = &one["kname"];
        let found = ours.iter().find(|device| device["name"] == *name).with_context(|| format!("no {name}"))?;
        let signature = &found["contents"]["signature"];
        let pairs = [
            (&found["bytes"], &one["size"]),
            (&signature["type"], &one["fstype"]),
            (&signature["label"], &one["label"]),
            (&signature["uuid"], &one["uuid"]),
            (&found["partition"]["id"], &one["partuuid"]),
            (&found["partition"]["label"], &one["partlabel"]),
        ];
        for (ours, theirs) in pairs {
            ensure!(ours == theirs, "{name}: {ours} is {theirs} to lsblk:\n{found:#}\n{one:#}");
        }
        let empty = Vec::new();
        let points = one["mountpoints"].as_array().unwrap_or(&empty).iter().filter_map(Value::as_str);
        for point in points {
            let uses = found["uses"].as_array().context("no uses")?;
            let is = |used: &Value| used["mounted"] == point || point == "[SWAP]" && used == "swap";
            ensure!(uses.iter().any(is), "{name} is mounted at {point}:\n{found:#}");
        }
    }
    let list = guest.run("cairn disks")?;
    println!("{list}");
    ensure!(list.contains("esp \"esp\"") && list.contains("mounted at /"), "{list}");
    // The running system is on the only disk.
    guest.refused("cairn disks only", "no disk is like that")?;
    guest.refused("cairn disks /dev/ubda", "the running system is on it")?;
    let recorded = guest.run("cairn hardware")?;
    guest.power_off()?;
    // What only the table's own bytes say is recorded too, for a rehearsal.
    let table: Value = serde_json::from_str(&Cmd::new("sfdisk").arg("-J").arg(&disk).ok()?)?;
    let of = |key: &str| table["partitiontable"][key].to_string();
    for (key, value) in [("first_lba", of("firstlba")), ("last_lba", of("lastlba"))] {
        ensure!(recorded.contains(&format!("{key}: {value}")), "no {key} {value}:\n{recorded}");
    }
    Ok(())
}
