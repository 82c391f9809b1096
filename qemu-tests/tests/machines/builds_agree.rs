//! The same machine file gives the same bytes: in another folder, at another time, without a network, for another user.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use qemu_tests::command::{root, same_bytes};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::BUILD;
use qemu_tests::{Cairn, Cmd, Scenario};

pub const FOLDERS: Scenario =
    Scenario { name: "two builds in different folders give the same bytes", needs: BUILD, run: folders };

pub const NO_NETWORK: Scenario = Scenario {
    name: "a build without a network works from the cache and gives the same bytes",
    needs: &["mmdebstrap", "unshare"],
    run: no_network,
};

pub const ORDINARY_USER: Scenario = Scenario {
    name: "an ordinary user who makes everything anew gets the same bytes as root",
    needs: &["root", "mmdebstrap", "newuidmap", "useradd", "runuser"],
    run: ordinary_user,
};

pub const CAPTURED: Scenario =
    Scenario { name: "what a machine gives back makes the same machine, byte for byte", needs: BUILD, run: captured };

fn same_images(hello: &Hello, folder: &Path) -> Result<()> {
    same_bytes(&hello.raw, &folder.join("hello.raw"))?;
    same_bytes(&hello.qcow2, &folder.join("hello.qcow2"))
}

fn folders(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let file = hello.edited(&folder.path().join("elsewhere"), |text| text)?;
    // Another time, another zone, another mask for new files.
    let build = cairn.cmd(["build"]).arg(&file).arg("-o").arg(folder.path().join("out"));
    let words = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    build.env("TZ", "Asia/Tokyo").env("LC_ALL", "C").under(words).run()?.must(0)?;
    same_images(&hello, &folder.path().join("out"))
}

fn captured(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let files = folder.path().join("hello");
    let done = cairn.cmd(["capture", "--image"]).arg(&hello.raw).arg("-o").arg(&files).ok()?;
    ensure!(done.contains("machine.yaml is generation 1 of hello"), "{done}");
    let mode = std::fs::metadata(files.join("hello.password"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "others may read the password's hash: {mode:o}");
    cairn.cmd(["build"]).arg(files.join("machine.yaml")).arg("-o").arg(folder.path()).ok()?;
    same_images(&hello, folder.path())?;
    // Nothing that is there is written over.
    cairn.cmd(["capture", "--image"]).arg(&hello.raw).arg("-o").arg(&files).run()?.must(3)?.says("is there already").map(drop)
}

fn no_network(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let build = cairn.cmd(["build"]).arg(&hello.file).arg("-o").arg(folder.path());
    let unshare: &[&str] = if root() { &["unshare", "-n"] } else { &["unshare", "-rn"] };
    build.under(unshare).run()?.must(0)?;
    same_images(&hello, folder.path())
}

/// A user who is gone afterwards.
struct User(String);

impl Drop for User {
    fn drop(&mut self) {
        let _ = Cmd::new("userdel").args(["-r", "-f"]).arg(&self.0).run();
    }
}

fn ordinary_user(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let user = User(format!("cairn-test-{}", std::process::id()));
    Cmd::new("useradd").args(["-m", "-s", "/bin/sh"]).arg(&user.0).ok()?;
    // A place that this user reaches, with the command, the machine file, and the packages but nothing made of them.
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let command = folder.path().join("cairn");
    std::fs::copy(&cairn.command, &command)?;
    let file = hello.edited(&folder.path().join("machine"), |text| text)?;
    let cache = folder.path().join("cache");
    std::fs::create_dir_all(cache.join("cairn"))?;
    let debs = cairn.cache().join("cairn/debs");
    ensure!(debs.is_dir(), "no packages in {}", debs.display());
    Cmd::new("cp").args(["-r", "--"]).arg(&debs).arg(cache.join("cairn")).ok()?;
    Cmd::new("chown").arg("-R").arg(format!("{0}:{0}", user.0)).arg(folder.path()).ok()?;
    let out = folder.path().join("out");
    Cmd::new(&command)
        .arg("build")
        .arg(&file)
        .arg("-o")
        .arg(&out)
        .env("XDG_CACHE_HOME", &cache)
        .env("HOME", format!("/home/{}", user.0))
        .env("TMPDIR", "/var/tmp")
        .dir("/")
        .under(["runuser", "-u", &user.0, "--"])
        .deadline(std::time::Duration::from_secs(1200))
        .run()?
        .must(0)?;
    same_images(&hello, &out)
}
