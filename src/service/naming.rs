// What services are called that have no name.

/// After their type, without its module and what it is made of.
pub(super) fn called_after<S: ?Sized>() -> &'static str {
    let path = std::any::type_name::<S>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}
