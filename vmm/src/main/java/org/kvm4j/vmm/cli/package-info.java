/** The command line. */
@NullMarked
package org.kvm4j.vmm.cli;

import org.jspecify.annotations.NullMarked;
