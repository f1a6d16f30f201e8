//! Any bytes as a statement: see `held`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::held;
use quorate_recon::books::Format;

fuzz_target!(|bytes: &[u8]| held(bytes, &Format::Mt940));
