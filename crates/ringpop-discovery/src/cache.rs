//! The last list of a source in a file, for processes that start while the source is down.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use crate::limits::FILE_BYTES_MAX;
use crate::{Discovery as _, DiscoveryError, Freshness, JsonFile, Snapshot};

/// A hosts file that is written.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    /// Whether the last write failed, which is told once.
    failed: bool,
}

impl Cache {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, failed: false }
    }

    /// The list of an earlier run. A file that cannot be used is as good as none.
    pub(crate) async fn load(&self) -> Option<Snapshot> {
        let since = tokio::fs::metadata(&self.path).await.ok()?.modified().ok()?;
        match JsonFile::new(&self.path).peers().await {
            Ok(records) => Some(Snapshot::new(records.into(), Freshness::Cached { since })),
            Err(error) => {
                tracing::warn!("the cache of an earlier run is not used: {error}");
                None
            }
        }
    }

    /// Replaces the file. A failure is told and harms nobody now.
    pub(crate) async fn store(&mut self, snapshot: &Snapshot) {
        let (path, records) = (self.path.clone(), snapshot.shared_records());
        let write = move || {
            let text = serde_json::to_vec(&*records)?;
            if text.len() as u64 > FILE_BYTES_MAX {
                return Err(io::Error::other(format!(
                    "it would have more than {FILE_BYTES_MAX} bytes"
                )));
            }
            replace(&path, &text)
        };
        let written = tokio::task::spawn_blocking(write).await;
        let cause = written.unwrap_or_else(|panic| Err(io::Error::other(panic))).err();
        let failed = cause.is_some();
        if let Some(cause) = cause.filter(|_| !self.failed) {
            let path = self.path.clone();
            tracing::warn!("{}", DiscoveryError::CacheUnwritable { path, cause: Arc::new(cause) });
        }
        self.failed = failed;
    }
}

/// Writes beside the file and renames: readers see the whole former or the whole new one, whatever
/// happens in between.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", process::id()));
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
