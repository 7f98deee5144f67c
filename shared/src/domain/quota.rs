/// The amount of data that one user may store.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Number of keys.
    pub keys: i64,
    /// Bytes of keys and values together.
    pub bytes: i64,
}
