//! What makes a program of a reactor: logs.

pub mod log;
