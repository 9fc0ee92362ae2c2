/** Machine code of the host's processor, made and run from Java. */
module org.kvm4j.machine {
  requires com.sun.jna;
  requires static org.jspecify;

  exports org.kvm4j.machine;
}
