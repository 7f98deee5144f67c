//! Random texts that are kept in files: the secret that signs tokens, and the admin token.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use ::tests::Error;

/// 256 bits, the minimum for HS256.
const BYTES: usize = 32;

/// Reads the secret from `path`. Creates it at the first call.
pub fn load_or_create(path: &Path) -> Result<String, Error> {
    if path.exists() {
        return fs::read_to_string(path).map_err(|error| Error::file(path, error));
    }
    let secret = random_hex()?;
    // Written to another file first: after a crash an incomplete secret would be used from then on.
    let partial = path.with_extension("partial");
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|error| Error::file(path, error))?;
    Ok(secret)
}

/// Removes the secret if it exists.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path, error)),
        _ => Ok(()),
    }
}

fn random_hex() -> Result<String, Error> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; BYTES];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(|error| Error::file(source, error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
