//! A build that is interrupted or killed leaves no half file, and the next one is not disturbed by it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::command::same_bytes;
use qemu_tests::hello::Hello;
use qemu_tests::scenario::BUILD;
use qemu_tests::{Cairn, Cmd, Scenario};

pub const IMAGE: Scenario =
    Scenario { name: "a build that is stopped while it writes leaves whole images or none", needs: BUILD, run: image };

pub const BASE: Scenario = Scenario {
    name: "a build that is stopped while it makes the base does not spoil the cache",
    needs: BUILD,
    run: base,
};

/// Every file that is there is complete.
fn whole_or_nothing(folder: &Path, hello: &Hello) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.file_name().and_then(|n| n.to_str()) {
            Some("hello.raw") => same_bytes(&path, &hello.raw)?,
            Some("hello.qcow2") => same_bytes(&path, &hello.qcow2)?,
            _ => anyhow::bail!("{} was left behind", path.display()),
        }
    }
    Ok(())
}

/// Nothing is mounted below a folder: neither now nor a moment later, when the last child has ended.
fn unmounted(folder: &Path) -> Result<()> {
    let below = folder.to_string_lossy().into_owned();
    let mounted = || -> Result<Vec<String>> {
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        Ok(mounts.lines().filter(|line| line.contains(&below)).map(str::to_string).collect())
    };
    let end = Instant::now() + Duration::from_secs(20);
    while !mounted()?.is_empty() {
        ensure!(Instant::now() < end, "still mounted: {:?}", mounted()?);
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn image(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        for milliseconds in [20, 100, 200, 400, 800, 1600] {
            let folder = tempfile::tempdir()?;
            let out = folder.path().join("out");
            let mut build = cairn.cmd(["build"]).arg(&hello.file).arg("-o").arg(&out).start()?;
            let ended = build.wait(Duration::from_millis(milliseconds))?;
            if ended.is_none() {
                build.signal(signal)?;
            }
            let status = build.wait(Duration::from_secs(30))?.context("the build does not stop")?;
            // It may have been done in time, or too young to know what Ctrl-C means.
            let stopped = status.code() == code || std::os::unix::process::ExitStatusExt::signal(&status).is_some();
            ensure!(status.success() || stopped, "{signal} after {milliseconds} ms: {status}");
            whole_or_nothing(&out, &hello).with_context(|| format!("{signal} after {milliseconds} ms"))?;
        }
    }
    Ok(())
}

fn base(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("cache");
    std::fs::create_dir_all(cache.join("cairn"))?;
    // The packages only: the base is made anew.
    Cmd::new("cp").args(["-r", "--"]).arg(cairn.cache().join("cairn/debs")).arg(cache.join("cairn")).ok()?;
    let out = folder.path().join("out");
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary)?;
    let build = || {
        let build = cairn.cmd(["build"]).arg(&hello.file).arg("-o").arg(&out);
        build.env("XDG_CACHE_HOME", &cache).env("TMPDIR", &temporary)
    };
    for (signal, seconds) in [("INT", 4), ("KILL", 9)] {
        let mut started = build().start()?;
        if started.wait(Duration::from_secs(seconds))?.is_none() {
            started.signal(signal)?;
        }
        started.wait(Duration::from_secs(60))?.with_context(|| format!("{signal} does not stop it"))?;
        whole_or_nothing(&out, &hello)?;
        unmounted(&temporary).with_context(|| format!("{signal} after {seconds} s"))?;
    }
    build().run()?.must(0)?;
    same_bytes(&hello.raw, &out.join("hello.raw"))
}
