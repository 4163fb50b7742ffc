//! What the tests of a whole call share: a model of a network link, and the parts of the programs that run and
//! measure real calls.

pub mod link;
pub mod measure;
pub mod sim;
