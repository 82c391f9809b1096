//! One reader under libFuzzer, guided by what its inputs reach. `CAIRN_FUZZ` names the reader; see `scripts/fuzz`.
#![no_main]

use std::sync::OnceLock;

use cairn_fuzz::{Target, targets};
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("CAIRN_FUZZ").unwrap_or_default();
        targets::find(&name).unwrap_or_else(|| panic!("CAIRN_FUZZ={name} names no reader"))
    })
}

fuzz_target!(|data: &[u8]| (target().run)(data));
