// What services are called.

/// What a service is called that has no name: after its type.
pub(super) fn called_after<S: ?Sized>() -> String {
    let path = std::any::type_name::<S>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path).to_owned()
}
