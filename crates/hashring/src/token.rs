//! Tokens: what a client hashes to choose a backend.

/// The first field that has anything but white space in it, as it is.
///
/// It is the usual way to keep related requests together: by session if there is one, else by
/// tenant, else by account.
///
/// ```
/// use hashring::token::first_non_blank;
///
/// let (session, tenant, account) = (None, Some("  "), Some("account-7"));
/// assert_eq!(first_non_blank([session, tenant, account]), Some("account-7"));
/// assert_eq!(first_non_blank([None, Some("")]), None);
/// ```
pub fn first_non_blank<'f>(fields: impl IntoIterator<Item = Option<&'f str>>) -> Option<&'f str> {
    fields.into_iter().flatten().find(|field| !field.trim().is_empty())
}

/// Writes several parts into one token so that different parts give different tokens, and nothing
/// is lost: `("ab", "c")` is not `("a", "bc")`. What `token` held before is cleared; its memory is
/// used again.
///
/// Each part is preceded by its length as eight little-endian bytes, which is what a client in
/// another language has to do to agree.
///
/// ```
/// use hashring::token::compose;
///
/// let (mut one, mut other) = (Vec::new(), Vec::new());
/// compose(["ab", "c"], &mut one);
/// compose(["a", "bc"], &mut other);
/// assert_ne!(one, other);
/// ```
pub fn compose<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>, token: &mut Vec<u8>) {
    token.clear();
    for part in parts {
        let part = part.as_ref();
        token.extend_from_slice(&(part.len() as u64).to_le_bytes());
        token.extend_from_slice(part);
    }
}
