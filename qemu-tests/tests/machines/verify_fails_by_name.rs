//! What another machine file wants otherwise fails in verify, each by its name, and nothing else: fixed addresses among it.

use anyhow::{Result, ensure};
use qemu_tests::cairn::repository;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Scenario};

use crate::verified::result;

pub const SCENARIO: Scenario = Scenario {
    name: "verify against another file fails where the two differ, and only there: addresses, name servers, users",
    needs: QEMU,
    run,
};

fn run(cairn: &Cairn) -> Result<()> {
    let folder = cairn.work.join("static");
    std::fs::create_dir_all(&folder)?;
    let text = std::fs::read_to_string(repository().join("examples/static-network.yaml"))?;
    let (file, other) = (folder.join("static.yaml"), folder.join("other.yaml"));
    std::fs::write(&file, &text)?;
    cairn.cmd(["build", "--format", "raw"]).arg(&file).arg("-o").arg(&folder).run()?.must(0)?;
    // All that is left as it is must hold; what is changed must fail, each by its name.
    let changed = text
        .replace("hostname: static.example.org", "hostname: other.example.org")
        .replace("uid: 1000", "uid: 1234")
        .replace("addresses: [192.0.2.10/24", "addresses: [192.0.2.11/24")
        .replace("gateways: [192.0.2.1,", "gateways: [192.0.2.2,")
        .replace("nameservers: [192.0.2.53]", "nameservers: [192.0.2.54]")
        .replace("search: [example.org]", "search: [example.net]");
    std::fs::write(&other, changed)?;
    std::fs::copy(folder.join("static.lock"), folder.join("other.lock"))?;
    let done = cairn
        .cmd(["verify", "--json", "--against"])
        .arg(&other)
        .arg(folder.join("static.example.org.raw"))
        .deadline(std::time::Duration::from_secs(2400))
        .run()?;
    let (json, failed) = result(&done)?;
    done.must(1)?;
    let wanted = [
        "host name",
        "user alice",
        "interface uplink: addresses",
        "interface uplink: gateways",
        "interface uplink: name servers",
        "search domains",
        "second boot: host name",
    ];
    ensure!(failed == wanted, "{failed:?}\n{json:#}");
    Ok(())
}
