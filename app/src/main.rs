//! The program `visavis`.

use std::process::ExitCode;

fn main() -> ExitCode {
    visavis::cli::main()
}
