/** JMH benchmarks of the hot paths. */
@NullMarked
package org.kvm4j.bench;

import org.jspecify.annotations.NullMarked;
