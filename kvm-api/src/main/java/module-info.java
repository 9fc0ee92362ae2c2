/** The /dev/kvm interface, typed handles over it, and the emulated kernel module behind it. */
module org.kvm4j.kvm {
  requires java.management;
  requires org.kvm4j.cpu;
  requires org.kvm4j.ept;
  requires static org.jspecify;

  exports org.kvm4j.kvm;
  exports org.kvm4j.kvm.doctor;
  exports org.kvm4j.kvm.syscall;
  exports org.kvm4j.kvm.uapi;
  exports org.kvm4j.kvm.module to
      org.kvm4j.bench,
      org.kvm4j.conformance;
  exports org.kvm4j.kvm.module.emulate to
      org.kvm4j.bench,
      org.kvm4j.conformance;
  exports org.kvm4j.kvm.module.vendor to
      org.kvm4j.bench,
      org.kvm4j.conformance;

  uses org.kvm4j.kvm.syscall.KernelProvider;

  provides org.kvm4j.kvm.syscall.KernelProvider with
      org.kvm4j.kvm.module.EmulatedKernelProvider;
}
