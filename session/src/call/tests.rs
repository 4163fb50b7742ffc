//! Two calls wired back to back over a link with delay, and what must come of it.

mod back;
mod dialogue;
mod faults;
mod garbage;
mod mute;
mod negatives;
mod pair;
mod profiles;
mod resume;
mod secured;
mod strangers;
mod telephone;

use visavis_net::plan::SrtpProfile;

use super::*;
use pair::{End, Pair, Setup, Side, exported, kinds, seeded};
