/** The KVM interface on the machine's own /dev/kvm. Its provider is found through ServiceLoader. */
module org.kvm4j.host {
  requires com.sun.jna;
  requires org.kvm4j.machine;
  requires transitive org.kvm4j.kvm;
  requires static org.jspecify;

  exports org.kvm4j.host;

  provides org.kvm4j.kvm.syscall.KernelProvider with
      org.kvm4j.host.NativeKernelProvider;
}
