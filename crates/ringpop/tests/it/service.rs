//! Services without generated code.

/// Makes a type with `async fn answer(self, Request<Body>) -> Response<Body>` a service of this
/// name.
macro_rules! service {
    ($service:ty, $name:literal) => {
        impl tonic::server::NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl tower_service::Service<http::Request<tonic::body::Body>> for $service {
            type Response = http::Response<tonic::body::Body>;
            type Error = std::convert::Infallible;
            type Future =
                std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
                let answer = self.clone().answer(request);
                Box::pin(async move { Ok(answer.await) })
            }
        }
    };
}
