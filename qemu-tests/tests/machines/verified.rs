//! `cairn verify`: a machine that is as declared passes.

use anyhow::{Context, Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Cmd, Done, Scenario};
use serde_json::Value;

pub const AS_DECLARED: Scenario = Scenario {
    name: "hello boots twice and is what its file says, and verifying does not change the image",
    needs: QEMU,
    run: as_declared,
};

/// The result, and the names of the checks that failed.
pub fn result(done: &Done) -> Result<(Value, Vec<String>)> {
    let json: Value = serde_json::from_str(&done.stdout).with_context(|| format!("{done}\nno JSON"))?;
    let checks = json["checks"].as_array().context("no checks")?;
    let whole = |c: &Value| {
        c["name"].is_string() && c["ok"].is_boolean() && c["expected"].is_string() && c["found"].is_string()
    };
    ensure!(!checks.is_empty() && checks.iter().all(whole), "{json:#}");
    let failed = checks.iter().filter(|c| c["ok"] == false);
    let failed = failed.map(|c| c["name"].as_str().unwrap_or_default().to_string()).collect();
    Ok((json, failed))
}

fn as_declared(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let (picture, junit) = (folder.path().join("a.png"), folder.path().join("a.xml"));
    let before = Cmd::new("sha256sum").arg(&hello.raw).ok()?;
    let done = cairn
        .cmd(["verify", "--json", "--against"])
        .arg(&hello.file)
        .arg("--screenshot")
        .arg(&picture)
        .arg("--junit")
        .arg(&junit)
        .arg(&hello.raw)
        .deadline(std::time::Duration::from_secs(2400))
        .run()?;
    let (json, failed) = result(&done)?;
    ensure!(failed.is_empty() && json["ok"] == true, "{failed:?}\n{json:#}");
    done.must(0)?;
    ensure!(Cmd::new("sha256sum").arg(&hello.raw).ok()? == before, "the image has changed");
    for boot in [1, 2] {
        let stages = json["stages"].as_array().context("no stages")?;
        let total = stages.iter().find(|s| s["boot"] == boot && s["name"] == "total").context("no total")?;
        ensure!(total["seconds"].as_f64().is_some_and(|s| s > 1.0), "{total}");
    }
    ensure!(std::fs::read(&picture)?.starts_with(b"\x89PNG"), "the screenshot is no PNG");
    ensure!(std::fs::read_to_string(&junit)?.contains("failures=\"0\""), "JUnit says something else");
    Ok(())
}
